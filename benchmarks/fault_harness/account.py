"""What a subscriber saw: while it went on, and counted in the end."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from benchmarks.fault_harness.events import Load, Place, number_of
from benchmarks.fault_harness.workers import FaultError
from schemas.topics import TopicNames

Isolation = Literal["read_committed", "read_uncommitted"]

_READ_SECONDS: Final = 600.0


class Watcher(threading.Thread):
    """Reads all outputs as they are committed, and times the pauses.

    Attributes:
        n_seen: how many different events came out.
        longest_pause: seconds without any output while there was an event to wait for.
        longest_wait: most seconds from an event to its first output.
    """

    def __init__(self, *, bootstrap: str, names: TopicNames, load: Load) -> None:
        super().__init__(name="watcher", daemon=True)
        self.n_seen = 0
        self.longest_pause = 0.0
        self.longest_wait = 0.0
        self._seen = np.zeros(len(load.sent_at), np.bool_)
        self._load = load
        self._ended = threading.Event()
        self._pause = 0.0
        self._consumer = _consumer(bootstrap, "read_committed", eof=False)
        self._consumer.assign(_places(self._consumer, [place.topic(names) for place in Place]))

    def run(self) -> None:
        """Read until `end` is called."""
        last = time.monotonic()
        while not self._ended.is_set():
            messages = self._consumer.consume(2_000, 0.05)
            now = time.monotonic()
            numbers = [number_of(one.key()) for one in messages if one.error() is None]
            if numbers:
                self._note(np.array([n for n in numbers if n is not None], np.int64), now)
            waited = now - last
            self.longest_pause = max(self.longest_pause, waited)
            self._pause = max(self._pause, waited)
            if numbers or self.n_seen >= self._load.n_sent:
                last = now
        self._consumer.close()

    def take_pause(self) -> float:
        """Return the longest pause since this was last asked."""
        pause, self._pause = self._pause, 0.0
        return pause

    def end(self) -> None:
        """Stop."""
        self._ended.set()
        if self.ident is not None:  # it may not have been started
            self.join()

    def _note(self, numbers: npt.NDArray[np.int64], now: float) -> None:
        fresh = np.unique(numbers[~self._seen[numbers]])
        if fresh.size:
            self.longest_wait = max(self.longest_wait, float(now - self._load.sent_at[fresh].min()))
            self._seen[fresh] = True
            self.n_seen += fresh.size


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicAccount:
    """The events that belong into one output topic, and what is wrong there.

    Attributes:
        place: which topic.
        events: how many events belong there.
        missing: of these, how many are in no output at all.
        elsewhere: of these, how many are in another output and not here.
        repeated: records of this topic beyond the first of the same event.
        aborted: records that only a read_uncommitted consumer sees, transactions' own markers not counted.
    """

    place: Place
    events: int
    missing: int
    elsewhere: int
    repeated: int
    aborted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """All three topics.

    Attributes:
        topics: one account a place.
        in_two_places: how many events are in more than one topic.
        misattributed: outputs whose `ce_id` names another input than the one with their key.
    """

    topics: tuple[TopicAccount, ...]
    in_two_places: int
    misattributed: int

    def total(self, name: Literal["events", "missing", "elsewhere", "repeated", "aborted"]) -> int:
        """Return the sum over the topics."""
        return sum(getattr(one, name) for one in self.topics)


def take_account(*, bootstrap: str, names: TopicNames, expected: npt.NDArray[np.uint8]) -> Account:
    """Read the input and the outputs from beginning to end, and compare; the workers must have ended.

    What is in the log of the input counts, not what was sent: an event that the broker never took is none.

    Raises FaultError if a transaction stays open: a read_committed consumer would see nothing behind it.
    """
    n_events = len(expected)
    is_input = np.zeros(n_events, np.bool_)
    origin: dict[int, str] = {}
    for message in read_to_end(bootstrap, [names.created], "read_committed"):
        n = number_of(message.key())
        if n is not None:
            is_input[n] = True
            origin[n] = f"{message.topic()}/{message.partition()}/{message.offset()}"
    counts = np.zeros((len(Place), n_events), np.int32)
    aborted: list[int] = []
    misattributed = 0
    for place in Place:
        n_rows = 0
        for message in read_to_end(bootstrap, [place.topic(names)], "read_committed"):
            n_rows += 1
            n = number_of(message.key())
            if n is None:
                raise FaultError(f"a record of {place.topic(names)} has the key of no event: {message.key()!r}")
            counts[place, n] += 1
            if place is not Place.DEAD_LETTERS:
                source = dict(message.headers() or []).get("ce_id")
                misattributed += source is None or _text(source) != origin.get(n)
        n_written = sum(1 for _ in read_to_end(bootstrap, [place.topic(names)], "read_uncommitted"))
        aborted.append(n_written - n_rows)
    is_out = counts > 0
    topics: list[TopicAccount] = []
    for place in Place:
        mine = is_input & (expected == place)
        topics.append(
            TopicAccount(
                place=place,
                events=int(mine.sum()),
                missing=int((mine & ~is_out.any(axis=0)).sum()),
                elsewhere=int((mine & ~is_out[place] & is_out.any(axis=0)).sum()),
                repeated=int(np.maximum(counts[place] - 1, 0).sum()),
                aborted=aborted[place],
            )
        )
    return Account(
        topics=tuple(topics), in_two_places=int((is_out.sum(axis=0) > 1).sum()), misattributed=misattributed
    )


def read_to_end(bootstrap: str, topics: Sequence[str], isolation: Isolation) -> Iterator[Message]:
    """Yield all records of the topics up to where they end now, for this isolation.

    Raises FaultError if that takes too long.
    """
    consumer = _consumer(bootstrap, isolation, eof=True)
    places = _places(consumer, topics)
    consumer.assign(places)
    unread = {(place.topic, place.partition) for place in places}
    end = time.monotonic() + _READ_SECONDS
    try:
        while unread:
            if time.monotonic() > end:
                raise FaultError(f"reading {', '.join(topics)} took more than {_READ_SECONDS:.0f} s")
            for message in consumer.consume(5_000, 0.2):
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    unread.discard((str(message.topic()), int(message.partition() or 0)))
                elif not error.retriable():
                    raise KafkaException(error)
    finally:
        consumer.close()


def open_transactions(bootstrap: str, topics: Sequence[str]) -> list[str]:
    """Return the partitions whose end a read_committed consumer cannot reach yet."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    consumer = _consumer(bootstrap, "read_committed", eof=False)
    places = _places(consumer, topics)
    consumer.close()
    latest = {TopicPartition(one.topic, one.partition): OffsetSpec.latest() for one in places}
    ends: dict[IsolationLevel, dict[tuple[str, int], int]] = {}
    for isolation in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED):
        futures = admin.list_offsets(latest, isolation_level=isolation)
        ends[isolation] = {(tp.topic, tp.partition): one.result(30).offset for tp, one in futures.items()}
    stable, all_ends = ends[IsolationLevel.READ_COMMITTED], ends[IsolationLevel.READ_UNCOMMITTED]
    return [f"{topic}/{partition}" for (topic, partition), at in stable.items() if at < all_ends[topic, partition]]


def _consumer(bootstrap: str, isolation: Isolation, *, eof: bool) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"faults-{uuid.uuid4().hex}",
            "isolation.level": isolation,
            "enable.auto.commit": False,
            "enable.partition.eof": eof,
            "auto.offset.reset": "earliest",
            "reconnect.backoff.max.ms": 500,  # so that a pause is the stream's, not ours
            "log_level": 0,  # a broker that is away is the purpose of the run
        }
    )


def _places(consumer: Consumer, topics: Sequence[str]) -> list[TopicPartition]:
    return [
        TopicPartition(topic, partition, 0)
        for topic in topics
        for partition in consumer.list_topics(topic, timeout=30).topics[topic].partitions
    ]


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")
