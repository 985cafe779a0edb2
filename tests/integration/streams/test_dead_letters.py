"""Dead letters on a real broker: grouped, sent again exactly once, and never for ever."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import sys
import uuid
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from schemas.errors import SortlineError
from schemas.topics import TopicNames
from sortline.dead_letters.replay import replay_letters
from sortline.main import main
from streams.dialects import Dialect, Failure, error_headers, read_failure
from tests.integration.streams.conftest import Topics, WorkerProcess, wait_for
from tests.topic_configs import set_topic_config

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

pytestmark = pytest.mark.integration

NewWorker = Callable[..., WorkerProcess]
_FORKED = multiprocessing.get_context("forkserver")


class Operator:
    """Whoever is on call, at the command line."""

    def __init__(self, stream: Topics, capsys: pytest.CaptureFixture[str]) -> None:
        self._stream = stream
        self._capsys = capsys

    def run(self, *arguments: str, exit_code: int = 0) -> str:
        """Run `sortline dead-letters` and return what it says."""
        stream = self._stream
        prefix = stream.names.created.removesuffix(TopicNames().created)
        where = ["--bootstrap", stream.bootstrap, "--topic-prefix", prefix]
        self._capsys.readouterr()
        code = main(["dead-letters", *arguments, *where])
        said = self._capsys.readouterr()
        assert code == exit_code, said.err
        return said.out + said.err

    def groups(self) -> dict[str, dict[str, Any]]:
        """Return what `list` finds, by reason."""
        found = [json.loads(line) for line in self.run("list", "--json").splitlines()]
        return {group["reason"]: group for group in found}


@pytest.fixture
def operator(stream: Topics, capsys: pytest.CaptureFixture[str]) -> Operator:
    return Operator(stream, capsys)


def headers_of(message: Message) -> list[tuple[str, bytes | None]]:
    return [(name, value if value is None else bytes(value)) for name, value in message.headers() or []]


def limit_size(stream: Topics, topic: str, n_bytes: int) -> None:
    set_topic_config(stream.bootstrap, topic, "max.message.bytes", str(n_bytes))


def count(stream: Topics, topic: str, *, isolation: str = "read_committed") -> int:
    """Return how many records a reader sees in a topic at the moment."""
    consumer = Consumer(
        {
            "bootstrap.servers": stream.bootstrap,
            "group.id": f"count-{uuid.uuid4().hex}",
            "isolation.level": isolation,
            "enable.partition.eof": True,
        }
    )
    partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
    n_records = 0
    ended: set[int | None] = set()
    while len(ended) < len(partitions):
        for message in consumer.consume(1_000, 0.05):
            if message.error():
                ended.add(message.partition())
            else:
                n_records += 1
    consumer.close()
    return n_records


def write_letter(
    producer: Producer,
    stream: Topics,
    key: str,
    value: bytes,
    failure: Failure,
    dialect: Dialect,
    partition: int = 0,
) -> None:
    headers: Any = [("key", key.encode()), *error_headers(dialect, failure)]  # null values are not in the types
    producer.produce(stream.names.dead_letters, value, key, partition=partition, headers=headers)


def write_letters(stream: Topics, n_letters: int, *, dialects: tuple[Dialect, ...] = ("connect",)) -> None:
    """Write letters as a worker would; the key tells the number."""
    producer = stream.producer()
    for number in range(n_letters):
        partition, offset = number % 3, number // 3
        failure = Failure(
            topic=stream.names.created, partition=partition, offset=offset, reason=f"schema id {number} is odd"
        )
        dialect = dialects[offset % len(dialects)]
        write_letter(producer, stream, f"k{number}", b"value", failure, dialect, partition)
    assert producer.flush(30) == 0


def test_letters_are_mended_and_replayed_and_what_stays_broken_is_given_up(
    stream: Topics, new_worker: NewWorker, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = stream.names
    worker = new_worker(dead_letter_dialect="spring", delivery="exactly-once").start().wait_ready()
    for topic in (names.categorized, names.review):
        limit_size(stream, topic, 150)
    stream.produce([*stream.values(50), *((f"x{number}".encode(), b"\xff broken") for number in range(5))])
    letters = stream.read(names.dead_letters, until=lambda found: len(found) >= 55)
    assert len(letters) == 55
    groups = operator.groups()
    assert sorted(group["letters"] for group in groups.values()) == [5, 50]
    assert "50" in operator.run("replay", "--reason", "does NOT take*output", "--dry-run")
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert "Send 55 letters" in operator.run("replay", exit_code=1)
    assert count(stream, names.created) == 55

    for topic in (names.categorized, names.review):
        limit_size(stream, topic, 1_048_588)
    assert "50 letters were sent" in operator.run("replay", "--reason", "does not take the output", "--yes")
    results = stream.read(names.categorized, names.review, until=lambda found: len(found) >= 50)
    assert Counter(one.key() for one in results) == Counter(f"p-{number}".encode() for number in range(50))
    assert "nothing to replay" in operator.run("replay", "--reason", "does not take the output", "--yes")
    assert count(stream, names.created) == 105
    _check_replayed_records(stream, letters)

    for attempt in range(1, 4):
        assert "5 letters were sent" in operator.run("replay", "--yes")
        expected = 55 + 5 * attempt
        back = stream.read(names.dead_letters, until=partial(_has, expected))
        assert len(back) == expected
    assert "5 letters were replayed 3 times and came back" in operator.run("replay", "--yes")
    assert count(stream, names.created) == 120
    (broken,) = [group for reason, group in operator.groups().items() if "wire format" in reason]
    assert (broken["letters"], broken["replayed"], broken["spent"], broken["waiting"]) == (20, 15, 5, 0)
    last = next(one for one in reversed(back) if one.key() == b"x4")
    shown = operator.run("show", f"{last.partition()}:{last.offset()}")
    assert "attempts   3" in shown
    assert "dialect    spring" in shown
    assert "ff 20 62 72 6f 6b 65 6e" in shown
    assert worker.stop() == 0
    assert stream.committed(worker.settings.group_id) >= 120


def _has(n_records: int, found: list[Message]) -> bool:
    return len(found) >= n_records


def _check_replayed_records(stream: Topics, letters: list[Message]) -> None:
    """The second record of each product is the first one again, and tells where it comes from."""
    records = stream.read(stream.names.created, until=lambda found: len(found) >= 105)
    by_key: dict[bytes | None, list[Message]] = {}
    for record in records:
        by_key.setdefault(record.key(), []).append(record)
    first, again = by_key[b"p-7"]
    (letter,) = [one for one in letters if one.key() == b"p-7"]
    assert (again.value(), again.partition()) == (first.value(), first.partition())
    assert headers_of(again) == [
        ("from", b"test"),
        ("sortline.replay.attempts", b"1"),
        ("sortline.replay.from", f"{letter.topic()}/{letter.partition()}/{letter.offset()}".encode()),
        ("sortline.replay.timestamp", str(first.timestamp()[1]).encode()),
    ]
    found = read_failure(headers_of(letter))
    assert found is not None
    assert found[1].place == f"{first.topic()}/{first.partition()}/{first.offset()}"


def _replay(arguments: dict[str, Any], stop_after: int, pipe: Connection) -> None:
    """Replay, and wait for a word in the middle of a transaction."""
    n_produced = 0

    def on_produced() -> None:
        nonlocal n_produced
        n_produced += 1
        if n_produced == stop_after:
            pipe.recv()

    try:
        replay_letters(**arguments, on_produced=on_produced)
    except SortlineError as error:
        pipe.send(str(error))
        os._exit(1)
    sys.exit(0)


@pytest.mark.parametrize("ending", ["killed", "overtaken"])
def test_a_replay_that_ends_in_the_middle_loses_and_repeats_nothing(
    stream: Topics, operator: Operator, ending: str
) -> None:
    names = stream.names
    write_letters(stream, 150, dialects=("connect", "streams", "spring"))
    arguments = {
        "bootstrap": stream.bootstrap,
        "names": names,
        "places": [(number % 3, number // 3) for number in range(150)],
        "max_attempts": 3,
        "letters_at_once": 40,
    }
    ours, theirs = _FORKED.Pipe()
    process = _FORKED.Process(target=_replay, args=(arguments, 60, theirs))
    process.start()
    theirs.close()
    try:
        # A transaction of 40 is over, and of the next one 20 are in the log.
        unread = partial(count, stream, names.created, isolation="read_uncommitted")
        wait_for("the replay to be in the middle of a transaction", lambda: unread() >= 60, 30)
        if ending == "killed":
            process.kill()
            process.join(10)
        assert "110 letters were sent" in operator.run("replay", "--yes")
        if ending == "overtaken":
            ours.send("go on")
            assert "another replay" in ours.recv()
            process.join(10)
            assert process.exitcode == 1
    finally:
        process.kill()
    assert "nothing to replay" in operator.run("replay", "--yes")
    records = stream.read(names.created, until=lambda found: len(found) >= 150)
    assert Counter(one.key() for one in records) == Counter(f"k{number}".encode() for number in range(150))
    for partition in range(3):
        mine = [dict(headers_of(one))["key"] for one in records if one.partition() == partition]
        assert mine == [f"k{number}".encode() for number in range(partition, 150, 3)]
    (group,) = operator.groups().values()
    assert (group["letters"], group["replayed"]) == (150, 150)


def test_a_letter_that_the_topic_does_not_take_is_told_of_and_the_others_are_sent(
    stream: Topics, operator: Operator
) -> None:
    write_letters(stream, 6)
    failure = Failure(topic=stream.names.created, partition=0, offset=9, reason="too long")
    foreign = Failure(topic="elsewhere", partition=0, offset=9, reason="lost")
    producer = stream.producer()
    for told in (failure, foreign):
        write_letter(producer, stream, "big", os.urandom(3_000), told, "connect")
    assert producer.flush(30) == 0
    limit_size(stream, stream.names.created, 2_000)
    said = operator.run("replay", "--yes", exit_code=1)
    assert "6 letters were sent" in said
    assert "refuses 1 of them" in said
    assert "1 letters do not say that they come from" in said
    assert count(stream, stream.names.created) == 6
    states = {reason: (group["replayed"], group["waiting"]) for reason, group in operator.groups().items()}
    assert states == {"schema id # is odd": (6, 0), "too long": (0, 1), "lost": (0, 0)}


@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
def test_a_topic_in_the_wrong_format_stops_the_worker_before_it_drains_into_the_dead_letters(
    stream: Topics, new_worker: NewWorker, delivery: str
) -> None:
    stream.produce_products(300)
    worker = new_worker(delivery=delivery, dead_letters_in_a_row=100, slice_rows=50).start()
    wait_for("the good ones to be done", lambda: stream.committed(worker.settings.group_id) == 300)
    rows = [(f"j{number}".encode(), json.dumps({"product_id": f"j{number}"}).encode()) for number in range(3_000)]
    stream.produce(rows)
    assert worker.exit_code() == 3
    n_letters = count(stream, stream.names.dead_letters)
    assert n_letters <= 100
    assert stream.committed(worker.settings.group_id) == 300 + n_letters
    assert "records in a row were dead letters, and 100 are allowed" in worker.log()
    assert "first byte is 0x7b" in worker.log()
