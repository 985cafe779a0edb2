from __future__ import annotations

import re

import pytest

from schemas.errors import SetupError
from schemas.registry import InMemoryRegistry
from sortline.dead_letters.display import group_json, letter_lines, show_groups
from sortline.dead_letters.groups import gather
from sortline.dead_letters.letters import Letter, Mark, fold, read_letter, replayed_headers, state_of
from sortline.dead_letters.reading import mark_record, read_mark
from sortline.dead_letters.selection import Selection, parse_place, parse_selection
from sortline.offset_ranges import parse_range
from sortline.topic_reader import TopicRecord
from streams.dialects import Dialect, Failure, error_headers
from streams.records import Header

NOW_MS = 1_767_225_600_000
DIALECTS: list[Dialect] = ["connect", "streams", "spring"]


def make_letter(
    reason: str = "title is blank",
    *,
    dialect: Dialect = "connect",
    headers: tuple[Header, ...] = (),
    place: tuple[int, int] = (0, 0),
    timestamp_ms: int | None = 1_000,
    topic: str = "products.created",
    value: bytes | None = b"value",
) -> Letter:
    failure = Failure(topic=topic, partition=2, offset=41, reason=reason, stage="VALIDATION", error="KeyError")
    record = TopicRecord(
        topic="products.created.dlq",
        partition=place[0],
        offset=place[1],
        timestamp_ms=timestamp_ms,
        key=b"p-1",
        value=value,
        headers=(*headers, *error_headers(dialect, failure)),
    )
    return read_letter(record)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_letter_is_understood_in_every_dialect(dialect: Dialect) -> None:
    letter = make_letter(dialect=dialect)
    assert letter.dialect == dialect
    assert letter.reason == "title is blank"
    assert letter.failure.place == "products.created/2/41"
    assert letter.name == "products.created.dlq/0/0"


def test_ten_thousand_letters_with_the_same_faults_are_a_handful_of_groups() -> None:
    faults = [
        "key is 'p-{n}', expected the product_id 'p-{n}x'",
        "schema id {n} is not in the registry",
        "value does not decode with schema id 7: field Product.title: a string of -{n} bytes",
        'price_minor is -{n}.5, expected 0 or more; title is blank ("{n} it\'s")',
        "internal error, ValueError: 0x{n:04x} at 2026-01-{n}T10:00:00Z in 6f1c{n}aa-11ee-b9d1",
    ]
    letters = (make_letter(faults[n % 5].format(n=n), place=(n % 6, n // 6)) for n in range(10_000))
    groups = gather((letter, "waiting") for letter in letters)
    assert [group.n_letters for group in groups] == [2_000] * 5
    assert all(len(group.offsets) == 6 for group in groups)


def test_faults_that_differ_in_words_are_not_folded() -> None:
    assert fold("title is blank") != fold("brand is blank")
    assert fold("it's the shop's fault") == "it's the shop's fault"


def test_a_reason_without_spaces_or_end_is_folded_at_once() -> None:
    assert len(fold("x" * 1_000_000 + "1")) <= 400
    assert fold("'" * 100_000)


def test_a_group_knows_its_times_its_places_and_its_states() -> None:
    came_back = (("sortline.replay.attempts", b"2"),)
    letters = [
        (make_letter(place=(1, 7), timestamp_ms=5_000), "waiting"),
        (make_letter(place=(0, 3), timestamp_ms=9_000), "replayed"),
        (make_letter(place=(1, 2), timestamp_ms=None, headers=came_back), "waiting"),
    ]
    (group,) = gather(letters)  # type: ignore[arg-type]  # the literals are states
    assert (group.first_ms, group.last_ms, group.most_attempts) == (5_000, 9_000, 2)
    assert group.ranges == "0:3-3 1:2-7"
    assert group.states == {"waiting": 2, "replayed": 1}
    assert '"offsets": {"0": [3, 3], "1": [2, 7]}' in group_json(group)


def test_groups_are_shown_with_reason_and_places_whole(capsys: pytest.CaptureFixture[str]) -> None:
    show_groups(gather([(make_letter("schema id 12 \x1b[K is " + "long " * 30), "waiting")]))
    shown = capsys.readouterr().out
    assert "VALIDATION: schema id # �[K is " + "long " * 29 in shown
    assert "at 0:0-0" in shown
    assert "1970-01-01 00:00:01" in shown


def test_a_mark_makes_a_letter_replayed_only_if_it_is_about_the_same_original() -> None:
    letter = make_letter()
    key, value = mark_record(letter, now_ms=NOW_MS)
    assert key == b"products.created.dlq/0/0"
    mark = read_mark(value)
    assert mark == Mark(original="products.created/2/41", attempts=1, at_ms=NOW_MS)
    assert mark is not None
    other = Mark(original="products.created/2/42", attempts=1, at_ms=NOW_MS)
    for marks, expected in (({}, "waiting"), ({(0, 0): mark}, "replayed"), ({(0, 0): other}, "waiting")):
        assert state_of(letter, marks, created="products.created", max_attempts=3) == expected


@pytest.mark.parametrize("value", [b"", b"{}", b"[]", b"\xff", b'{"original": "x", "attempts": "y", "at_ms": 1}'])
def test_what_is_no_mark_marks_nothing(value: bytes) -> None:
    assert read_mark(value) is None


def test_a_letter_that_came_back_too_often_is_spent() -> None:
    for attempts, expected in ((b"2", "waiting"), (b"3", "spent"), (b"99", "spent"), (b"x", "waiting")):
        letter = make_letter(headers=(("sortline.replay.attempts", attempts),))
        assert state_of(letter, {}, created="products.created", max_attempts=3) == expected


def test_a_letter_from_elsewhere_or_from_nowhere_is_not_for_us() -> None:
    record = TopicRecord(
        topic="dlq", partition=0, offset=0, timestamp_ms=None, key=None, value=b"x", headers=(("ce_id", b"1"),)
    )
    for letter in (make_letter(topic="orders"), read_letter(record)):
        assert state_of(letter, {}, created="products.created", max_attempts=3) == "foreign"
    assert read_letter(record).reason == "no reason given"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_replayed_record_has_the_headers_of_the_original_and_tells_where_it_comes_from(dialect: Dialect) -> None:
    original: tuple[Header, ...] = (("a", b"\xff"), ("b", None), ("a", b"2"))
    assert replayed_headers(make_letter(dialect=dialect, headers=original, place=(3, 12))) == [
        *original,
        ("sortline.replay.attempts", b"1"),
        ("sortline.replay.from", b"products.created.dlq/3/12"),
        ("sortline.replay.timestamp", b"1000"),
    ]


def test_a_second_replay_counts_up_and_keeps_the_first_timestamp() -> None:
    once: tuple[Header, ...] = tuple(replayed_headers(make_letter(headers=(("a", b"1"),))))
    again = make_letter(dialect="spring", headers=once, place=(3, 12), timestamp_ms=2_000)
    assert again.attempts == 1
    assert replayed_headers(again) == [
        ("a", b"1"),
        ("sortline.replay.attempts", b"2"),
        ("sortline.replay.from", b"products.created.dlq/3/12"),
        ("sortline.replay.timestamp", b"1000"),
    ]


def _selection(**options: object) -> Selection:
    given = {"reason": None, "since": None, "until": None, "offsets": (), **options}
    return parse_selection(**given, now_ms=NOW_MS)  # type: ignore[arg-type]  # each test gives the right ones


@pytest.mark.parametrize(
    ("reason", "has"),
    [
        ("blank", True),
        ("TITLE", True),
        ("title*(", True),
        ("schema", False),
        ("blank ('p-1')", True),
        ("blank (…)", True),
        (".", False),
    ],
)
def test_a_reason_is_found_by_its_text_folded_or_not(reason: str, has: bool) -> None:
    assert _selection(reason=reason).has(make_letter("title is blank ('p-1')")) is has


@pytest.mark.parametrize(
    ("since", "until", "has"),
    [
        ("2025-12-31T23:00", None, True),
        ("2026-01-01T00:30+01:00", "2026-01-01T00:00", True),
        ("2025-12-31T23:46", None, False),
        (None, "2025-12-31T23:45", False),
        ("15m", None, True),
        ("14m", None, False),
        ("2d", "1h", False),
    ],
)
def test_times_are_utc_or_ages_and_the_end_is_excluded(since: str | None, until: str | None, has: bool) -> None:
    letter = make_letter(timestamp_ms=NOW_MS - 15 * 60_000)
    assert _selection(since=since, until=until).has(letter) is has


def test_offsets_are_ranges_of_the_dead_letter_topic() -> None:
    selection = _selection(offsets=["0:5-7", "2", "1:9", "3:4-"])
    chosen = [
        (partition, offset)
        for partition in range(5)
        for offset in range(11)
        if selection.has(make_letter(place=(partition, offset)))
    ]
    assert chosen == [
        *((0, offset) for offset in (5, 6, 7)),
        (1, 9),
        *((2, offset) for offset in range(11)),
        *((3, offset) for offset in range(4, 11)),
    ]


@pytest.mark.parametrize("text", ["", "x", "1:", "1-2", "0:7-5", ":3", "0:1-2-3", "-1:0"])
def test_a_range_that_means_nothing_is_said(text: str) -> None:
    with pytest.raises(SetupError, match="option --offsets: "):
        parse_range(text)


@pytest.mark.parametrize("text", ["", "3", "3:", ":4", "a:b", "0:1-2"])
def test_a_place_that_is_none_is_said(text: str) -> None:
    with pytest.raises(SetupError, match=re.escape("is not PARTITION:OFFSET")):
        parse_place(text)
    assert parse_place("3:12") == (3, 12)


@pytest.mark.parametrize("text", ["yesterday", "5", "5w"])
def test_a_time_that_is_none_is_said_with_its_option(text: str) -> None:
    with pytest.raises(SetupError, match="option --since: "):
        _selection(since=text)


def test_a_letter_is_shown_whole() -> None:
    headers: tuple[Header, ...] = (("a", b"text"), ("b", b"\x00\xff"), ("c", None))
    letter = make_letter(headers=headers, value=b'{"title": "Lamp"}')
    mark = Mark(original="products.created/2/41", attempts=1, at_ms=NOW_MS)
    lines = list(letter_lines(letter, mark, InMemoryRegistry()))
    for expected in (
        "reason     title is blank",
        "stage      VALIDATION",
        "came from  products.created/2/41",
        "replayed   2026-01-01 00:00:00 UTC",
        "key        p-1",
        "  a = text",
        "  b = 0x00ff",
        "  c = null",
        '  {"title": "Lamp"}',
    ):
        assert expected in lines
    assert any("not decoded: value is not Confluent wire format" in line for line in lines)


def test_a_value_that_is_no_text_is_shown_in_hex_up_to_a_limit() -> None:
    lines = list(letter_lines(make_letter(value=b"\x00" * 5_000), None, InMemoryRegistry()))
    assert "  000000  " + "00 " * 31 + "00" in lines
    assert "  and 904 bytes more" in lines
    assert "value      null: a tombstone" in list(letter_lines(make_letter(value=None), None, InMemoryRegistry()))
