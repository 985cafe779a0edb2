"""Records of one partition as columns, and as the sequence of records that they are."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, overload

import numpy as np
import pyarrow as pa
from aiokafka.structs import ConsumerRecord

from schemas.clean_columns import Spans
from schemas.framed import FramedValues
from streams.batch_format import BATCH_HEADER, I32, I64, U8, header_bytes, varint
from streams.batch_reading import RecordArrays, header_list
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
    """Slices that are handled together, one behind the other; at least one."""

    def __init__(self, slices: Sequence[RecordSlice]) -> None:
        self.slices = slices
        self.starts = np.array([0, *itertools.accumulate(map(len, slices))], np.int64)

    @functools.cached_property
    def _parts(self) -> _Parts:
        # Not laid together before somebody looks: who makes the group is the event loop, who looks is not.
        return _Parts.of(self.slices)

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
        topics = [one.source[0] for one in self.slices]
        if len(self.slices) == 1:
            offsets = self.slices[0].arrays.offsets[rows]
            return {
                "topic": pa.array(topics),
                "partition": pa.array([self.slices[0].source[1]], pa.int32()),
                "offset": pa.array(offsets),
            }
        nth = np.searchsorted(self.starts, rows, side="right") - 1
        names: Any = topics[:1] if len(set(topics)) == 1 else np.array(topics, object)[nth]
        return {
            "topic": pa.array(names, pa.string()),
            "partition": pa.array(np.array([one.source[1] for one in self.slices], np.int32)[nth]),
            "offset": pa.array(np.concatenate([one.arrays.offsets for one in self.slices])[rows]),
        }

    @property
    def value_sizes(self) -> I32:
        """The bytes of each value, int32; -1 is a null value."""
        return self._parts.value_size

    @property
    def key_sizes(self) -> I32:
        """The bytes of each key, int32; -1 is a null key."""
        return self._parts.key_size

    def values(self, rows: I64) -> FramedValues:
        """Return the values of the rows, none of which is null, where they lie."""
        parts = self._parts
        starts = parts.value_at[rows]
        return FramedValues(parts.content, starts, starts + parts.value_size[rows])

    def keys(self, rows: I64) -> Spans:
        """Return the keys of the rows where they lie."""
        parts = self._parts
        return Spans(parts.content, parts.key_at[rows], parts.key_size[rows])


class _Parts(NamedTuple):
    """Where keys and values of all slices lie, in one buffer that is only read."""

    content: U8
    key_at: I64
    key_size: I32
    value_at: I64
    value_size: I32

    @classmethod
    def of(cls, slices: Sequence[RecordSlice]) -> _Parts:
        every = [one.arrays for one in slices if len(one)] or [one.arrays for one in slices[:1]]
        if len(every) == 1:
            (one,) = every
            return cls(_read_only(one.buffer), one.key_at, one.key_size, one.value_at, one.value_size)
        # What the records of a slice take of a buffer lies together, in the order of the records: it is copied as
        # a whole, headers too. That costs less than a look at every record.
        contents, key_at, value_at, end = [], [], [], 0
        for one in every:
            first = int(one.key_at[0])
            stop = int(one.value_at[-1]) + max(int(one.value_size[-1]), 0)
            contents.append(one.buffer[first:stop])
            key_at.append(one.key_at + (end - first))
            value_at.append(one.value_at + (end - first))
            end += stop - first
        return cls(
            _read_only(np.concatenate(contents)),
            np.concatenate(key_at),
            np.concatenate([one.key_size for one in every]),
            np.concatenate(value_at),
            np.concatenate([one.value_size for one in every]),
        )


def _read_only(content: U8) -> U8:
    """Return the same bytes: kernels are compiled for one type, whatever buffer a codec gave."""
    if content.flags.writeable:
        content = content.view()
        content.flags.writeable = False
    return content


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
