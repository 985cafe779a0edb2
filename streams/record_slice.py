"""Records of one partition as columns, and as the sequence of records that they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast, overload

import numpy as np
import pyarrow as pa
from aiokafka.structs import ConsumerRecord
from numba import njit

from streams.batch_format import BATCH_HEADER, I32, I64, U8, header_bytes, varint
from streams.batch_reading import RecordArrays, header_list
from streams.byte_copy import copy_bytes
from streams.offsets import Partition
from streams.records import Record


class RecordSlice(Sequence[Record]):
    """Successive records of one partition. A record becomes an object only when it is asked for."""

    __slots__ = ("arrays", "source")

    def __init__(self, source: Partition, arrays: RecordArrays) -> None:
        self.source = source
        self.arrays = arrays

    @property
    def last_offset(self) -> int:
        """The offset of the last record."""
        return int(self.arrays.offsets[-1])

    def __len__(self) -> int:
        return len(self.arrays.offsets)

    @overload
    def __getitem__(self, at: int) -> Record: ...
    @overload
    def __getitem__(self, at: slice) -> RecordSlice: ...
    def __getitem__(self, at: int | slice) -> Record | RecordSlice:
        arrays = self.arrays
        if isinstance(at, slice):
            start, stop, step = at.indices(len(self))
            if step != 1:
                raise ValueError("a slice of records is of successive ones")
            return RecordSlice(self.source, arrays.between(start, stop))
        key = _bytes(arrays.buffer, arrays.key_at[at], arrays.key_size[at])
        value = _bytes(arrays.buffer, arrays.value_at[at], arrays.value_size[at])
        record: Record = ConsumerRecord(
            self.source[0],
            self.source[1],
            int(arrays.offsets[at]),
            int(arrays.timestamps[at]),
            int(arrays.timestamp_types[at]),
            key,
            value,
            None,  # the checksum, which format v2 does not have
            -1 if key is None else len(key),
            -1 if value is None else len(value),
            tuple(header_list(arrays.buffer, int(arrays.headers_at[at]))),
        )
        return record

    def __iter__(self) -> Iterator[Record]:
        return (self[at] for at in range(len(self)))


class RecordGroup(Sequence[Record]):
    """Slices that are handled together, one behind the other."""

    def __init__(self, slices: Sequence[RecordSlice]) -> None:
        self.slices = slices
        self.starts = np.concatenate([[0], np.cumsum([len(one) for one in slices])]).astype(np.int64)

    @classmethod
    def of(cls, records: Sequence[Record]) -> RecordGroup:
        """Return the records as columns; a change of the partition begins a new slice."""
        if isinstance(records, RecordGroup):
            return records
        if isinstance(records, RecordSlice):
            return cls([records])
        slices: list[RecordSlice] = []
        start = 0
        for at in range(1, len(records) + 1):
            first = records[start]
            if at == len(records) or (records[at].topic, records[at].partition) != (first.topic, first.partition):
                slices.append(RecordSlice((first.topic, first.partition), laid_out(records[start:at])))
                start = at
        return cls(slices)

    def __len__(self) -> int:
        return int(self.starts[-1])

    @overload
    def __getitem__(self, at: int) -> Record: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Record]: ...
    def __getitem__(self, at: int | slice) -> Record | Sequence[Record]:
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(len(self)))]
        if not 0 <= at < len(self):
            raise IndexError(at)
        nth = int(np.searchsorted(self.starts, at, side="right")) - 1
        return self.slices[nth][at - int(self.starts[nth])]

    def __iter__(self) -> Iterator[Record]:
        return (record for one in self.slices for record in one)

    def places(self, rows: I64) -> dict[str, pa.Array[Any]]:
        """Return topic, partition and offset of the rows; of what is the same for all of them, one row."""
        sources = [one.source for one in self.slices]
        offsets = np.concatenate([one.arrays.offsets for one in self.slices])[rows]
        nth = np.searchsorted(self.starts, rows, side="right") - 1
        topics: list[Any] = [topic for topic, _ in sources]
        numbers = [partition for _, partition in sources]
        return {
            "topic": pa.array(topics[:1] if len(set(topics)) == 1 else np.array(topics, object)[nth], pa.string()),
            "partition": pa.array(np.array(numbers, np.int32)[nth]),
            "offset": pa.array(offsets),
        }

    def value_sizes(self) -> I32:
        """Return the bytes of each value, int32; -1 is a null value."""
        return np.concatenate([one.arrays.value_size for one in self.slices])

    def key_sizes(self) -> I32:
        """Return the bytes of each key, int32; -1 is a null key."""
        return np.concatenate([one.arrays.key_size for one in self.slices])

    def values(self, rows: I64) -> pa.BinaryArray:
        """Return the values of the rows, which ascend, as one array."""
        return self._gather(rows, "value_at", "value_size")

    def keys(self, rows: I64) -> pa.BinaryArray:
        """Return the keys of the rows, which ascend, as one array."""
        return self._gather(rows, "key_at", "key_size")

    def _gather(self, rows: I64, at_name: str, size_name: str) -> pa.BinaryArray:
        sizes = np.concatenate([getattr(one.arrays, size_name) for one in self.slices])[rows]
        ends = np.cumsum(np.maximum(sizes, 0), dtype=np.int64)
        bounds = np.zeros(len(rows) + 1, np.int32)
        bounds[1:] = ends
        data = np.empty(int(ends[-1]) if len(rows) else 0, np.uint8)
        splits = np.searchsorted(rows, self.starts)
        for nth, one in enumerate(self.slices):
            first, last = int(splits[nth]), int(splits[nth + 1])
            mine = rows[first:last] - self.starts[nth]
            _copy(one.arrays.buffer, getattr(one.arrays, at_name), mine, bounds[first : last + 1], data)
        is_null = sizes < 0
        validity = None
        if is_null.any():
            validity = pa.py_buffer(np.packbits(~is_null, bitorder="little").data)
        buffers = [validity, pa.py_buffer(bounds.data), pa.py_buffer(data.data)]
        return cast("pa.BinaryArray", pa.Array.from_buffers(pa.binary(), len(rows), buffers))


def laid_out(records: Sequence[Record]) -> RecordArrays:
    """Return the columns of records that are objects, over a buffer of their own."""
    buffer = bytearray(BATCH_HEADER.size)

    def put(data: bytes | None) -> tuple[int, int]:
        at = len(buffer)
        buffer.extend(data or b"")
        return at, -1 if data is None else len(data)

    keys = [put(record.key) for record in records]
    values = [put(record.value) for record in records]
    headers: list[int] = []
    traces: list[tuple[int, int]] = []
    for record in records:
        headers.append(put(varint(len(record.headers)))[0])
        trace = (0, -1)
        for name, value in record.headers:
            if value is None:
                put(header_bytes(name, b"")[:-1] + varint(-1))
                continue
            at, size = put(header_bytes(name, value))
            if name == "traceparent":
                trace = (at + size - len(value), len(value))
        traces.append(trace)
    return RecordArrays(
        buffer=np.frombuffer(bytes(buffer), np.uint8),
        offsets=np.array([one.offset for one in records], np.int64),
        timestamps=np.array([one.timestamp for one in records], np.int64),
        timestamp_types=np.array([one.timestamp_type for one in records], np.uint8),
        key_at=np.array([at for at, _ in keys], np.int64),
        key_size=np.array([size for _, size in keys], np.int32),
        value_at=np.array([at for at, _ in values], np.int64),
        value_size=np.array([size for _, size in values], np.int32),
        headers_at=np.array(headers, np.int64),
        trace_at=np.array([at for at, _ in traces], np.int64),
        trace_size=np.array([size for _, size in traces], np.int32),
    )


def _bytes(buffer: U8, at: np.int64, size: np.int32) -> bytes | None:
    return None if size < 0 else buffer[at : at + size].tobytes()


@njit(cache=True, nogil=True)
def _copy(buffer: U8, places: I64, rows: I64, bounds: I32, data: U8) -> None:
    for nth in range(len(rows)):
        start = int(bounds[nth])
        size = int(bounds[nth + 1]) - start
        place = int(places[rows[nth]])
        copy_bytes(data, start, buffer, place, size)
