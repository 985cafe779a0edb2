"""Lets aiokafka's consumer hand out the records of a fetch as columns instead of as objects.

aiokafka's fetcher finds the classes that hold fetched bytes by their names in its module. Three of them are put in
place of its own, once a process; the fetcher itself, with all that it knows of leaders, positions, errors and
isolation, stays as it is. Every consumer of the process gets `RecordSlice`s then, which are sequences of
aiokafka's own `ConsumerRecord`s for whoever looks at them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords

from streams.batch_format import AFTER_LENGTH, LENGTH_AT, U8
from streams.batch_reading import RecordArrays, join, read_batch
from streams.record_slice import RecordSlice
from streams.records import Record


class KeptRecords:
    """aiokafka's MemoryRecords, which also knows where each batch lies in the bytes.

    Attributes:
        buffer: uint8, the fetched bytes.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.buffer: U8 = np.frombuffer(data, np.uint8)
        self._records = MemoryRecords(data)
        self._at = 0

    def has_next(self) -> bool:
        """Return whether there is another batch."""
        return bool(self._records.has_next())

    def size_in_bytes(self) -> int:
        """Return the size of all batches, a cut-off one at the end among them."""
        return int(self._records.size_in_bytes())

    def next_batch(self) -> Any:
        """Return the next batch as aiokafka has it."""
        return self.next_with_extent()[0]

    def next_with_extent(self) -> tuple[Any, int, int]:
        """Return the next batch, where it begins, and its size."""
        at = self._at
        size = AFTER_LENGTH + int.from_bytes(self._data[at + LENGTH_AT : at + AFTER_LENGTH], "big")
        self._at += size
        return self._records.next_batch(), at, size


class ColumnarRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka has no types
    """What one fetch brought of a partition. Hides markers and aborted transactions by aiokafka's rules."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._rest: RecordArrays | None = None
        self._after = self.next_fetch_offset  # behind the batch that was read last

    def take(self, most: int | None) -> tuple[RecordSlice | None, bool]:
        """Return the next records, at most so many, and whether these were the last.

        Moves `next_fetch_offset` behind them, and at the end also behind what is not to be seen. Raises
        CorruptRecordException if a batch is damaged; what this call had read before it is fetched again.
        """
        parts: list[RecordArrays] = []
        n_taken = 0
        while most is None or n_taken < most:
            arrays = self._rest if self._rest is not None else self._next_arrays()
            if arrays is None:
                break
            self._rest = None
            left = None if most is None else most - n_taken
            if left is not None and len(arrays.offsets) > left:
                self._rest = arrays.between(left, len(arrays.offsets))
                arrays = arrays.between(0, left)
                self.next_fetch_offset = int(arrays.offsets[-1]) + 1
            else:
                self.next_fetch_offset = self._after
            parts.append(arrays)
            n_taken += len(arrays.offsets)
        is_done = self._rest is None and not self._records.has_next()
        return (RecordSlice(self._tp, join(parts)) if parts else None), is_done

    def _next_arrays(self) -> RecordArrays | None:
        """Return the records of the next batch that has some to be seen; None at the end."""
        while self._records.has_next():
            batch, at, size = self._records.next_with_extent()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"invalid checksum in {self._tp}")
            if self._is_visible(batch):
                arrays = read_batch(self._records.buffer, at, size)
                first = int((arrays.offsets < self.next_fetch_offset).sum())
                if first < len(arrays.offsets):
                    self._after = batch.next_offset
                    return arrays.between(first, len(arrays.offsets)) if first else arrays
            # After compaction the last offset of a batch may not be that of its last record.
            self.next_fetch_offset = batch.next_offset
        return None

    def _is_visible(self, batch: Any) -> bool:
        if self._isolation_level == fetcher.READ_COMMITTED and batch.producer_id is not None:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and self._contains_abort_marker(batch):
                self._aborted_producers.discard(batch.producer_id)
            if batch.is_transactional and batch.producer_id in self._aborted_producers:
                return False
        return not batch.is_control_batch


class ColumnarResult(fetcher.FetchResult):  # type: ignore[misc]  # as above
    """Hands the records of a fetch out as a slice. `cpu_seconds` is what that took of this process so far."""

    cpu_seconds = 0.0

    def getall(self, max_records: int | None = None) -> Sequence[Record]:
        """Return the next records; nothing if the partition was taken away or the position moved."""
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return ()
        partition_records: ColumnarRecords = self._partition_records  # type: ignore[has-type]  # as above
        started = time.thread_time()
        records, is_done = partition_records.take(max_records)
        ColumnarResult.cpu_seconds += time.thread_time() - started
        self._update_position()
        if is_done:
            self._partition_records = None
        return records if records is not None else ()


def install() -> None:
    """Put the classes in their places; doing it again changes nothing."""
    fetcher.MemoryRecords = KeptRecords
    fetcher.PartitionRecords = ColumnarRecords
    fetcher.FetchResult = ColumnarResult
