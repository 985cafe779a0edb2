"""Reads a topic for people: from now on or from the beginning, without a group, committing nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from confluent_kafka import (
    OFFSET_BEGINNING,
    TIMESTAMP_LOG_APPEND_TIME,
    TIMESTAMP_NOT_AVAILABLE,
    KafkaException,
    Message,
    TopicPartition,
)

from schemas.errors import DependencyUnavailableError
from sortline.broker import ANSWER_SECONDS, open_reader, topic_partitions, unavailable

_RECORDS_AT_ONCE: Final = 500
_POLL_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicRecord:
    """One record as the broker holds it; `value` None is a tombstone. The time is in ms, None if it has none.

    It is a `streams.records.Record`, too.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int | None
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    timestamp_type: int = 0

    @property
    def timestamp(self) -> int:
        """The time in ms, -1 if it has none."""
        return -1 if self.timestamp_ms is None else self.timestamp_ms


class TopicReader:
    """Reads topics from fixed positions; use it as a context.

    The positions are taken in the constructor, so whatever is produced after it returned is read. Only committed
    transactions are seen. Raises DependencyUnavailableError if the broker does not answer and SetupError if there
    is no such topic.
    """

    def __init__(self, topics: Sequence[str], *, bootstrap: str, from_beginning: bool) -> None:
        self._bootstrap = bootstrap
        self._consumer = open_reader(bootstrap, "sortline-tail", {"fetch.wait.max.ms": 100})
        try:
            self._consumer.assign(self._positions(topics, from_beginning=from_beginning))
        except BaseException:
            self._consumer.close()
            raise

    def __enter__(self) -> TopicReader:
        return self

    def __exit__(self, *_error: object) -> None:
        self._consumer.close()

    def poll(self, seconds: float = _POLL_SECONDS) -> list[TopicRecord]:
        """Return the records that come within that time, oldest first within a partition; at most 500 at once."""
        records: list[TopicRecord] = []
        for message in self._consumer.consume(_RECORDS_AT_ONCE, seconds):
            error = message.error()
            if error is not None:
                if error.retriable():
                    continue  # the client goes on by itself
                raise DependencyUnavailableError(f"Kafka at {self._bootstrap}: {error.str()}")
            records.append(topic_record(message))
        return records

    def _positions(self, topics: Sequence[str], *, from_beginning: bool) -> list[TopicPartition]:
        positions: list[TopicPartition] = []
        for topic, partitions in topic_partitions(self._consumer, topics, bootstrap=self._bootstrap).items():
            for partition in partitions:
                start = OFFSET_BEGINNING if from_beginning else self._end(TopicPartition(topic, partition))
                positions.append(TopicPartition(topic, partition, start))
        return positions

    def _end(self, place: TopicPartition) -> int:
        # OFFSET_END is looked up at the first fetch: what is produced before that would be missed.
        try:
            return self._consumer.get_watermark_offsets(place, timeout=ANSWER_SECONDS)[1]
        except KafkaException as error:
            raise unavailable(self._bootstrap, error) from error


def topic_record(message: Message) -> TopicRecord:
    """Return a consumed message, which is not an error, as a record."""
    kind, timestamp_ms = message.timestamp()
    return TopicRecord(
        topic=message.topic() or "",
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        timestamp_ms=None if kind == TIMESTAMP_NOT_AVAILABLE else timestamp_ms,
        key=_as_bytes(message.key()),
        value=_as_bytes(message.value()),
        headers=tuple((name, _as_bytes(value)) for name, value in message.headers() or ()),
        timestamp_type=int(kind == TIMESTAMP_LOG_APPEND_TIME),
    )


def _as_bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
