"""Outputs as columns, and as the sequence of outputs that they are."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, overload

import numpy as np
from numba import njit

from schemas.cloudevents import TRACEPARENT, output_headers
from streams.batch_format import I32, I64, U8, header_bytes, varint
from streams.batch_writing import OutputArrays
from streams.offsets import Partition
from streams.record_slice import RecordSlice
from streams.records import Output


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What is the same for all outputs of a run: the CloudEvents headers but the id, and the time.

    Attributes:
        source: `ce_source`.
        type: `ce_type` of outputs with a value; `tombstone_type`: of those without.
        time_header: `ce_time`.
        timestamp_ms: of the records.
    """

    source: str
    type: str
    tombstone_type: str
    time_header: bytes
    timestamp_ms: int


class OutputSlice(Sequence[Output]):
    """Outputs of one slice of records, in its order. An output becomes an object only when it is asked for."""

    __slots__ = ("arrays", "envelope", "records")

    def __init__(self, records: RecordSlice, envelope: Envelope, arrays: OutputArrays) -> None:
        self.records = records
        self.envelope = envelope
        self.arrays = arrays

    @property
    def source(self) -> Partition:
        """The partition of the input."""
        return self.records.source

    def __len__(self) -> int:
        return len(self.arrays.rows)

    @overload
    def __getitem__(self, at: int) -> Output: ...
    @overload
    def __getitem__(self, at: slice) -> OutputSlice: ...
    def __getitem__(self, at: int | slice) -> Output | OutputSlice:
        arrays = self.arrays
        if isinstance(at, slice):
            cut = replace(
                arrays, rows=arrays.rows[at], value_at=arrays.value_at[at], value_size=arrays.value_size[at]
            )
            return OutputSlice(self.records, self.envelope, cut)
        record = self.records[int(arrays.rows[at])]
        start, size = int(arrays.value_at[at]), int(arrays.value_size[at])
        value = None if size < 0 else arrays.frame.tobytes() + arrays.values[start : start + size].tobytes()
        envelope = self.envelope
        headers = output_headers(
            source=envelope.source,
            type=envelope.tombstone_type if value is None else envelope.type,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            time_header=envelope.time_header,
            incoming=record.headers,
        )
        return Output(record, record.key, value, headers, envelope.timestamp_ms)

    def __iter__(self) -> Iterator[Output]:
        return (self[at] for at in range(len(self)))


class Outputs(Sequence[Output]):
    """Outputs of several slices, one behind the other."""

    def __init__(self, parts: Sequence[OutputSlice]) -> None:
        self.parts = parts

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    @overload
    def __getitem__(self, at: int) -> Output: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Output]: ...
    def __getitem__(self, at: int | slice) -> Output | Sequence[Output]:
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(len(self)))]
        left = at
        for part in self.parts:
            if 0 <= left < len(part):
                return part[left]
            left -= len(part)
        raise IndexError(at)

    def __iter__(self) -> Iterator[Output]:
        return (output for part in self.parts for output in part)


class OutputWriter:
    """Makes the outputs of one group of records: their headers are laid out once."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope
        self._n_headers, head, _, _ = _around(envelope.source, envelope.type)
        self._head = _array(head)
        self._tail = self._behind_id(envelope.type)
        self._tombstone_tail = self._behind_id(envelope.tombstone_type)

    def _behind_id(self, event_type: str) -> U8:
        _, _, before_time, behind_time = _around(self._envelope.source, event_type)
        time = self._envelope.time_header
        return _array(before_time + varint(len(time)) + time + behind_time)

    def write(
        self, records: RecordSlice, rows: I64, *, values: U8, value_at: I64, value_size: I32, frame: bytes
    ) -> OutputSlice:
        """Return the outputs of some records of a slice.

        Args:
            records: the slice.
            rows: int64 (n), ascending: which of its records.
            values: uint8: the values of all outputs, without frame.
            value_at: int64 (n): where each begins.
            value_size: int32 (n): its bytes, -1 for none.
            frame: comes before each value.
        """
        topic, partition = records.source
        arrays = OutputArrays(
            source=records.arrays,
            rows=rows,
            values=values,
            value_at=value_at,
            value_size=value_size,
            frame=_array(frame),
            head=self._head,
            n_headers=self._n_headers,
            id_start=_array(f"{topic}/{partition}/".encode()),
            tail=self._tail,
            tombstone_tail=self._tombstone_tail,
            trace_head=_TRACE_HEAD,
            timestamp_ms=self._envelope.timestamp_ms,
        )
        return OutputSlice(records, self._envelope, arrays)


class SortedOutputs(NamedTuple):
    """What goes where: place by place, for each slice by slice, in the order of the records.

    Attributes:
        rows: int64: which record of its slice an output comes from.
        value_at: int64: where its value begins; value_size: int32, -1 for none.
        cuts: the outputs of slice s for place p are those from `cuts[p * n_slices + s]` to the next.
    """

    rows: I64
    value_at: I64
    value_size: I32
    cuts: list[int]


def sorted_out(places: U8, starts: I64, nth: I64, bounds: I64, n_places: int) -> SortedOutputs:
    """Sort the outputs of a group of records by place and slice.

    Args:
        places: uint8 (n_records): 0 to n_places - 1; outputs for other places are left out.
        starts: int64: the records of slice s are those from `starts[s]` to the next.
        nth: int64 (n_records): which value each output has; -1 is none.
        bounds: int64: value i lies from `bounds[i]` to `bounds[i + 1]`.
        n_places: how many places there are.
    """
    rows = np.empty(len(places), np.int64)
    value_at = np.empty(len(places), np.int64)
    value_size = np.empty(len(places), np.int32)
    cuts = np.zeros(n_places * (len(starts) - 1) + 1, np.int64)
    _sort_out(places, starts, nth, bounds, n_places, rows, value_at, value_size, cuts)
    return SortedOutputs(rows, value_at, value_size, cuts.tolist())


@functools.lru_cache(maxsize=16)
def _around(source: str, event_type: str) -> tuple[int, bytes, bytes, bytes]:
    """Return how many headers there are, and their bytes: up to the id, from there to the time, and behind it."""
    headers = output_headers(
        source=source, type=event_type, topic="", partition=0, offset=0, time_header=b"", incoming=None
    )
    names = [name for name, _ in headers]
    encoded = [header_bytes(name, value) for name, value in headers]
    at, time_at = names.index("ce_id"), names.index("ce_time")
    head = b"".join(encoded[:at]) + _name("ce_id")
    before_time = b"".join(encoded[at + 1 : time_at]) + _name("ce_time")
    return len(headers), head, before_time, b"".join(encoded[time_at + 1 :])


def _name(name: str) -> bytes:
    return varint(len(name)) + name.encode()


def _array(data: bytes) -> U8:
    return np.frombuffer(data, np.uint8)


_TRACE_HEAD: Final = _array(_name(TRACEPARENT))


@njit(cache=True, nogil=True)
def _sort_out(
    places: U8,
    starts: I64,
    nth: I64,
    bounds: I64,
    n_places: int,
    rows: I64,
    value_at: I64,
    value_size: I32,
    cuts: I64,
) -> None:
    n_slices = len(starts) - 1
    n_done = 0
    for place in range(n_places):
        for number in range(n_slices):
            for record in range(starts[number], starts[number + 1]):
                if places[record] != place:
                    continue
                value = nth[record]
                rows[n_done] = record - starts[number]
                value_at[n_done] = bounds[value] if value >= 0 else 0
                value_size[n_done] = bounds[value + 1] - bounds[value] if value >= 0 else -1
                n_done += 1
            cuts[place * n_slices + number + 1] = n_done
