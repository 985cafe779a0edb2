"""Counting what another model would decide otherwise, and showing it."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path

import html5lib
import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console

from schemas.columns import PRODUCT_CATEGORIZED
from schemas.errors import SetupError
from schemas.topics import TopicNames
from sortline.replay.decisions import (
    ACCEPTED,
    BACKED_OFF,
    DEAD_LETTER,
    KINDS,
    N_DECIDED,
    NOTHING,
    REVIEW,
    WITHDRAWN,
    Lookup,
    Paths,
    Rows,
    rows_of_events,
    rows_without_decision,
)
from sortline.replay.difference import EXAMPLES, Difference, DifferenceCounter
from sortline.replay.display import agreement_share, places_text, show, to_json
from sortline.replay.page import check_page, render_page
from sortline.replay.publishing import check_target
from sortline.replay.run import ReplayReport

HOSTILE = '<script>alert("x")</script>\x1b[31m'


def _rows(*rows: tuple[int, int, int, int, float]) -> Rows:
    """Return rows of partition, offset, kind, path and confidence."""
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return Rows(columns[0], columns[1], columns[2].astype(np.uint8), columns[3], columns[4].astype(np.float64))


def _described(partition: int, offset: int) -> tuple[str, str]:
    return f"p-{partition}-{offset}", HOSTILE


def _paths(n: int) -> Paths:
    return Paths(known=[(), *((f"Category {number}", "leaf") for number in range(1, n))])


def _random(random: np.random.Generator, n: int) -> Rows:
    """Return an outcome for some inputs of two partitions: decisions have categories, the rest has none."""
    kind = random.integers(0, NOTHING, n).astype(np.uint8)
    path = np.where(kind < N_DECIDED, random.integers(1, 4, n), 0)
    confidence = np.where(kind < N_DECIDED, random.choice([0.5, 0.75], n), np.nan)
    return Rows(np.arange(n) % 2, np.arange(n) // 2, kind, path, confidence)


def test_counts_are_those_of_a_brute_force_whatever_the_batches() -> None:
    random = np.random.default_rng(7)
    published, now = _random(random, 600), _random(random, 700)
    shuffled = published.take(random.permutation(600))
    counter = DifferenceCounter(Lookup(shuffled), _paths(4))
    for start in range(0, 700, 90):
        counter.add(now.take(np.arange(start, min(start + 90, 700))), _described)
    difference = counter.result()

    before = {(row[0], row[1]): row[2:] for row in zip(*(column.tolist() for column in published), strict=True)}
    counts: Counter[tuple[str, str]] = Counter()
    same = identical = moved = 0
    by_category: dict[int, list[int]] = {}
    for partition, offset, kind, path, confidence in zip(*(column.tolist() for column in now), strict=True):
        was = before.get((partition, offset), (NOTHING, 0, np.nan))
        counts[KINDS[was[0]], KINDS[kind]] += 1
        if was[0] >= N_DECIDED:
            continue
        is_same = was[:2] == (kind, path)
        is_published = was[0] != REVIEW and kind < N_DECIDED and kind != REVIEW
        same += is_same
        identical += is_same and was[2] == confidence
        moved += is_published and was[1] != path
        category = by_category.setdefault(was[1], [0, 0, 0])
        category[0] += 1
        category[1] += is_same
        category[2] += was[0] != REVIEW and kind == REVIEW
    assert (difference.n_inputs, difference.n_same, difference.n_identical) == (700, same, identical)
    assert difference.n_moved == moved
    assert dict(difference.counts) == dict(counts)
    assert difference.n_compared == sum(one[0] for one in by_category.values())
    paths = _paths(4).known
    assert {one.path: [one.n, one.n_same, one.n_to_review] for one in difference.categories} == {
        paths[number]: counted for number, counted in by_category.items()
    }


def test_what_is_published_again_counts_as_it_was_published_last() -> None:
    lookup = Lookup(_rows((0, 7, ACCEPTED, 1, 0.5), (1, 7, REVIEW, 2, 0.1), (0, 7, BACKED_OFF, 3, 0.9)))
    assert lookup.n_repeated == 1
    found = lookup.find(np.array([1, 0, 0, 2]), np.array([7, 7, 8, 7]))
    assert found.kind.tolist() == [REVIEW, BACKED_OFF, NOTHING, NOTHING]
    assert found.path.tolist() == [2, 3, 0, 0]


def test_nothing_published_is_nothing_found() -> None:
    difference = DifferenceCounter(Lookup(Rows.joined([])), Paths())
    difference.add(_rows((0, 1, ACCEPTED, 0, 0.5)), _described)
    result = difference.result()
    assert (result.n_compared, result.agreement, result.moves) == (0, None, ())
    assert result.counts == {("nothing", "accepted"): 1}


def test_every_kind_of_change_has_examples_but_not_all_of_them() -> None:
    published = _rows(*((0, offset, ACCEPTED, 1, 0.9) for offset in range(20)))
    counter = DifferenceCounter(Lookup(published), _paths(3))
    counter.add(_rows(*((0, offset, REVIEW, 2, 0.4) for offset in range(20))), _described)
    (move,) = counter.result().moves
    assert (move.before, move.after, move.n, len(move.examples)) == ("accepted", "review", 20, EXAMPLES)
    assert (move.examples[0].before, move.examples[0].after) == (("Category 1", "leaf"), ("Category 2", "leaf"))


def test_a_withdrawal_or_dead_letter_that_stays_one_is_no_change() -> None:
    published = _rows((0, 0, WITHDRAWN, 0, 0), (0, 1, DEAD_LETTER, 0, 0), (0, 2, DEAD_LETTER, 0, 0))
    counter = DifferenceCounter(Lookup(published), _paths(2))
    counter.add(_rows((0, 0, WITHDRAWN, 0, 0), (0, 1, DEAD_LETTER, 0, 0), (0, 2, ACCEPTED, 1, 0.9)), _described)
    assert [(one.before, one.after, one.n) for one in counter.result().moves] == [("dead letter", "accepted", 1)]


def test_events_become_rows_with_each_path_known_once() -> None:
    row = {
        "product_id": "p",
        "confidence": 0.5,
        "alternatives": [],
        "model_name": "m",
        "model_version": "v",
        "feature_fingerprint": "f",
        "taxonomy_version": "t",
        "categorized_at": 0,
    }
    events = [
        {
            **row,
            "category_path": path,
            "decision": decision,
            "source": {"topic": "t", "partition": 3, "offset": offset},
        }
        for offset, (path, decision) in enumerate(
            [(["A", "b"], "review"), (["A"], "backed_off"), (["A", "b"], "accepted")]
        )
    ]
    paths = Paths()
    rows = rows_of_events(pa.RecordBatch.from_pylist(events, PRODUCT_CATEGORIZED), paths)
    assert [KINDS[kind] for kind in rows.kind] == ["review", "backed_off", "accepted"]
    assert [paths.known[number] for number in rows.path] == [("A", "b"), ("A",), ("A", "b")]
    assert (rows.partition.tolist(), rows.offset.tolist()) == ([3, 3, 3], [0, 1, 2])
    assert rows_without_decision([], WITHDRAWN).offset.tolist() == []


def _report() -> ReplayReport:
    random = np.random.default_rng(1)
    counter = DifferenceCounter(Lookup(_random(random, 300)), _paths(4))
    counter.add(_random(random, 300), _described)
    return ReplayReport(
        model=("sortline", "0123456789ab"),
        topic="products.created",
        ranges={0: (0, 149), 1: (0, 149)},
        n_inputs=300,
        kinds={"accepted": 300},
        invalid={HOSTILE: [(0, 3), (0, 4), (1, 9)]},
        difference=counter.result(),
        seconds=0.5,
    )


def test_the_page_is_sound_html_of_its_own_in_which_a_title_is_only_text() -> None:
    page = render_page(_report())
    html5lib.HTMLParser(strict=True).parse(page)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "\x1b" not in page
    assert "://" not in page


def test_the_terminal_shows_moves_examples_and_invalid_inputs_without_control_codes() -> None:
    stream = io.StringIO()
    show(_report(), Console(file=stream, width=100))
    text = stream.getvalue()
    assert "\x1b" not in text
    assert "accepted → review" in text
    assert "at 0:3-4 1:9" in text
    assert "Category 1 > leaf" in text


def test_json_holds_every_figure_and_no_numbers_that_json_lacks() -> None:
    report = _report()
    assert report.difference is not None
    document = json.loads(to_json(report), parse_constant=pytest.fail)
    assert document["difference"]["n_same"] == report.difference.n_same
    assert document["invalid"] == {HOSTILE: [[0, 3], [0, 4], [1, 9]]}


@pytest.mark.parametrize(("n_same", "shown"), [(100_000, "100.00 %"), (99_999, "99.99 %"), (0, "0.00 %")])
def test_agreement_is_all_only_if_it_is_all(n_same: int, shown: str) -> None:
    difference = Difference(
        n_inputs=100_000,
        n_compared=100_000,
        n_same=n_same,
        n_identical=0,
        n_moved=0,
        counts={},
        moves=(),
        categories=(),
        pairs=(),
    )
    assert agreement_share(difference) == shown


def test_places_are_shown_as_runs_and_the_rest_is_counted() -> None:
    assert places_text([(1, 4), (0, 2), (0, 1), (1, 5), (1, 8)], most=4) == "0:1-2 1:4-5 and 1 more"


def test_only_a_topic_of_ones_own_is_written_to() -> None:
    names = TopicNames()
    check_target("products.again", names, allow_live=False)
    check_target(names.categorized, names, allow_live=True)
    with pytest.raises(SetupError, match="is the live topic"):
        check_target(names.categorized, names, allow_live=False)
    for topic in (names.created, names.review, names.catalog, names.dead_letters):
        with pytest.raises(SetupError, match="has another purpose"):
            check_target(topic, names, allow_live=True)


def test_a_page_must_be_html() -> None:
    with pytest.raises(SetupError, match=r"must end in \.html"):
        check_page(Path("page.pdf"))
