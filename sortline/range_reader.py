"""Reads ranges of offsets of a topic in batches, to the end that the topic has at the moment."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from schemas.errors import DependencyUnavailableError, SetupError
from sortline.broker import ANSWER_SECONDS, TO_THE_END, open_reader, topic_partitions, unavailable
from sortline.offset_ranges import OffsetRange
from sortline.topic_reader import TopicRecord, topic_record

_RECORDS_AT_ONCE: Final = 2_000
_POLL_SECONDS: Final = 0.1
_STALL_SECONDS: Final = 30.0


class RangeReader:
    """Reads what is in some ranges of a topic now, without a group; use it as a context.

    Args:
        ranges: which offsets; they may overlap. None is everything.
        committed: whether only committed transactions are seen, and nothing behind one that is open.

    Attributes:
        bounds: of every partition of the topic the first offset that is kept, and the one behind the last that can
            be read; both as they were when this was made.
        ranges: of each partition in which there is something to read, the first and the last offset of it.
        n_offsets: how many offsets there are to read. Fewer of them may be records: some are marks of
            transactions, and compaction leaves gaps.

    Raises DependencyUnavailableError if the broker does not answer, SetupError if there is no such topic or
    partition.
    """

    def __init__(
        self, bootstrap: str, topic: str, ranges: Sequence[OffsetRange] | None = None, *, committed: bool = True
    ) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._consumer = open_reader(
            bootstrap,
            "sortline-ranges",
            {**TO_THE_END, "isolation.level": "read_committed" if committed else "read_uncommitted"},
        )
        try:
            self.bounds: Mapping[int, tuple[int, int]] = self._bounds()
            self._wanted = self._plan(ranges)
            self._consumer.assign(
                [TopicPartition(topic, number, spans[0][0]) for number, spans in self._wanted.items()]
            )
        except BaseException:
            self._consumer.close()
            raise
        self.ranges: Mapping[int, tuple[int, int]] = {
            number: (spans[0][0], spans[-1][1]) for number, spans in self._wanted.items()
        }
        self.n_offsets = sum(last - first + 1 for spans in self._wanted.values() for first, last in spans)

    def __enter__(self) -> RangeReader:
        return self

    def __exit__(self, *_error: object) -> None:
        self._consumer.close()

    def batches(self) -> Iterator[list[TopicRecord]]:
        """Yield the records, some thousands at a time, each partition in the order of its offsets.

        Raises DependencyUnavailableError if the broker sends nothing for half a minute.
        """
        reading = set(self._wanted)
        heard = time.monotonic()
        while reading:
            by_partition: defaultdict[int, list[TopicRecord]] = defaultdict(list)
            messages = self._consumer.consume(_RECORDS_AT_ONCE, _POLL_SECONDS)
            for message in messages:
                self._take(message, reading, by_partition)
            if by_partition:
                yield [record for partition in sorted(by_partition) for record in by_partition[partition]]
            if messages:
                heard = time.monotonic()
            elif time.monotonic() - heard > _STALL_SECONDS:
                raise DependencyUnavailableError(
                    f"Kafka at {self._bootstrap} sends nothing of {self._topic}: is it up?"
                )

    def _take(self, message: Message, reading: set[int], by_partition: Mapping[int, list[TopicRecord]]) -> None:
        partition, error = message.partition() or 0, message.error()
        if error is not None:
            # The end may come before the one that was there at first: what is behind it is an open transaction.
            if error.code() == KafkaError._PARTITION_EOF:
                reading.discard(partition)
            elif not error.retriable():
                raise DependencyUnavailableError(f"Kafka at {self._bootstrap}: {error.str()}")
            return
        if partition not in reading:
            return
        offset = message.offset() or 0
        spans = self._wanted[partition]
        if any(first <= offset <= last for first, last in spans):
            by_partition[partition].append(topic_record(message))
        if offset >= spans[-1][1]:
            reading.discard(partition)
            self._consumer.pause([TopicPartition(self._topic, partition)])

    def _bounds(self) -> dict[int, tuple[int, int]]:
        try:
            return {
                partition: self._consumer.get_watermark_offsets(
                    TopicPartition(self._topic, partition), timeout=ANSWER_SECONDS
                )
                for partition in topic_partitions(self._consumer, [self._topic], bootstrap=self._bootstrap)[
                    self._topic
                ]
            }
        except KafkaException as error:
            raise unavailable(self._bootstrap, error) from error

    def _plan(self, ranges: Sequence[OffsetRange] | None) -> dict[int, list[tuple[int, int]]]:
        """Return what there is of the ranges: of each partition, disjoint ones in their order."""
        if ranges is None:
            ranges = [
                OffsetRange(partition=number, first=low, last=end - 1)
                for number, (low, end) in self.bounds.items()
                if low < end
            ]
        plan: dict[int, list[tuple[int, int]]] = {}
        for one in sorted(ranges, key=lambda one: (one.partition, one.first)):
            if one.partition not in self.bounds:
                raise SetupError(
                    f"topic {self._topic} has no partition {one.partition}, only 0 to {max(self.bounds)}"
                )
            low, end = self.bounds[one.partition]
            first, last = max(low, one.first), min(end - 1, one.last)
            spans = plan.setdefault(one.partition, [])
            if spans and first <= spans[-1][1]:
                first, last = spans[-1][0], max(last, spans.pop()[1])
            if first <= last:
                spans.append((first, last))
        return {number: spans for number, spans in plan.items() if spans}
