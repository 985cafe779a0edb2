"""The last record of every key of a compacted topic, up to the end that the topic had when reading started.

Every partition is assigned from its first offset; no consumer group is joined and nothing is committed. The end
of a partition need not be a message: it can be a transaction marker, an aborted record or one that compaction
took away. So a partition is done when a record at or past the end arrives, or when the broker says that there is
nothing more.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.errors import DependencyUnavailableError, SetupError
from training.progress import Progress

#: Records handed over at a time, and how long to wait for the first of them.
_RECORDS_AT_ONCE: Final = 5_000
_POLL_SECONDS: Final = 0.25

#: Each partition's last records are kept apart until the end: only then is it known which partition has the
#: latest.
_PartitionRecords = dict[bytes, "LatestRecord"]


@dataclass(frozen=True, slots=True)
class LatestRecord:
    """The last record of a key. A null value (tombstone) is None."""

    partition: int
    offset: int
    timestamp_ms: int
    value: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactedTopic:
    """What a topic held when reading started.

    Attributes:
        topic: its name.
        latest: the last record of each key, tombstones included.
        keyless: places (`topic/partition/offset`) of records without a key.
        offsets: per partition the first and the last offset read, both inclusive; empty partitions are absent.
    """

    topic: str
    latest: Mapping[bytes, LatestRecord]
    keyless: tuple[str, ...]
    offsets: Mapping[int, tuple[int, int]]


def read_compacted_topic(
    bootstrap: str, topic: str, progress: Progress, *, stall_seconds: float = 30.0
) -> CompactedTopic:
    """Read the topic as a read_committed consumer, blocking until its end is reached.

    Memory grows with the number of keys, not with the length of the topic. Should a key stand in two partitions
    (their number was changed), the record with the later timestamp counts, then the one in the higher partition.

    Raises SetupError if there is no such topic, DependencyUnavailableError if Kafka does not answer or sends
    nothing for `stall_seconds`.
    """
    with _consumer_of(bootstrap, topic) as consumer:
        bounds = _partition_bounds(consumer, topic, timeout_seconds=min(stall_seconds, 10.0))
        return _read(consumer, topic, bounds, progress, stall_seconds=stall_seconds)


def read_bounds(bootstrap: str, topic: str, *, timeout_seconds: float = 10.0) -> Mapping[int, tuple[int, int]]:
    """Return each partition's first offset and the offset after its last committed record; no record is read.

    Errors as `read_compacted_topic`.
    """
    with _consumer_of(bootstrap, topic) as consumer:
        return _partition_bounds(consumer, topic, timeout_seconds=timeout_seconds)


class _StalledError(Exception):
    """Nothing arrived for too long."""


@contextlib.contextmanager
def _consumer_of(bootstrap: str, topic: str) -> Iterator[Consumer]:
    """Give a consumer in no group; errors of Kafka, and a stall, become DependencyUnavailableError."""
    client_errors: list[KafkaError] = []
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "sortline-snapshot",  # librdkafka wants one; it is never joined
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "queued.max.messages.kbytes": 32_768,
            "error_cb": client_errors.append,
            "log_level": 0,  # what it would log reaches the sentence of the error below
        }
    )
    try:
        yield consumer
    except KafkaException as error:
        reason = (client_errors[0] if client_errors else cast("KafkaError", error.args[0])).str()
        raise _unavailable(bootstrap, topic, reason) from error
    except _StalledError as error:
        reason = client_errors[-1].str() if client_errors else str(error)
        raise _unavailable(bootstrap, topic, reason) from error
    finally:
        consumer.close()


def _unavailable(bootstrap: str, topic: str, reason: str) -> DependencyUnavailableError:
    return DependencyUnavailableError(f"Kafka at {bootstrap} does not let {topic} be read: {reason}.")


def _partition_bounds(consumer: Consumer, topic: str, *, timeout_seconds: float) -> dict[int, tuple[int, int]]:
    """Return each partition's first offset and the offset after its last committed record."""
    metadata = consumer.list_topics(topic, timeout=timeout_seconds).topics[topic]
    if metadata.error is not None:
        if metadata.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise SetupError(
                f"There is no topic {topic}: create it with `sortline topics apply` and fill it with "
                "`sortline produce FILE --catalog`."
            )
        raise KafkaException(metadata.error)
    bounds = {}
    for partition in sorted(metadata.partitions):
        first, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=timeout_seconds)
        bounds[partition] = (first, end)
    return bounds


def _read(
    consumer: Consumer,
    topic: str,
    bounds: Mapping[int, tuple[int, int]],
    progress: Progress,
    *,
    stall_seconds: float,
) -> CompactedTopic:
    unread = {partition: first for partition, (first, end) in bounds.items() if end > first}
    ends = {partition: bounds[partition][1] for partition in unread}
    offsets = {partition: (bounds[partition][0], ends[partition] - 1) for partition in unread}
    latest: dict[int, _PartitionRecords] = {partition: {} for partition in unread}
    keyless: list[str] = []

    progress.step(f"Reading {topic}", sum(ends[partition] - first for partition, first in unread.items()))
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in unread])
    heard = time.monotonic()
    while unread:
        messages = consumer.consume(_RECORDS_AT_ONCE, _POLL_SECONDS)
        if messages:
            heard = time.monotonic()
        elif time.monotonic() - heard > stall_seconds:
            raise _StalledError(f"nothing arrived for {stall_seconds:g} s")
        for message in messages:
            partition, offset = _place(message)
            if partition not in unread:
                continue
            is_record = message.error() is None
            if is_record and offset < ends[partition]:
                _keep(message, topic, latest[partition], keyless)
            # The offset of an end of partition is that of the record that would come next.
            reached = min(offset + 1 if is_record else offset, ends[partition])
            progress.advance(reached - unread[partition])
            unread[partition] = reached
            if reached == ends[partition]:
                del unread[partition]
                consumer.pause([TopicPartition(topic, partition)])
    return CompactedTopic(topic=topic, latest=_merge(latest), keyless=tuple(keyless), offsets=offsets)


def _place(message: Message) -> tuple[int, int]:
    """Return partition and offset of a record or of an end of partition; any other error is raised."""
    error = message.error()
    if error is not None and error.code() != KafkaError._PARTITION_EOF:
        raise KafkaException(error)
    partition, offset = message.partition(), message.offset()
    # Optional by their types only: both are set on records and on ends of partition.
    return (-1 if partition is None else partition), (-1 if offset is None else offset)


def _keep(message: Message, topic: str, records: _PartitionRecords, keyless: list[str]) -> None:
    partition, offset = _place(message)
    key, value = message.key(), message.value()
    if key is None:
        keyless.append(f"{topic}/{partition}/{offset}")
        return
    records[key] = LatestRecord(partition, offset, message.timestamp()[1], value)


def _merge(latest: Mapping[int, _PartitionRecords]) -> dict[bytes, LatestRecord]:
    merged: dict[bytes, LatestRecord] = {}
    for partition in sorted(latest):
        for key, record in latest[partition].items():
            known = merged.get(key)
            if known is None or record.timestamp_ms >= known.timestamp_ms:
                merged[key] = record
    return merged
