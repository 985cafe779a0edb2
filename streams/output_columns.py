"""Outputs as columns, and as the sequence of outputs that they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import overload

import numpy as np

from schemas.cloudevents import TRACEPARENT, output_headers
from streams.batch_format import I64, U8, header_bytes, varint
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
        before, tail = self._around_id(envelope.type)
        _, tombstone_tail = self._around_id(envelope.tombstone_type)
        self._head = _array(before)
        self._tail = _array(tail)
        self._tombstone_tail = _array(tombstone_tail)
        self._trace_head = _array(varint(len(TRACEPARENT)) + TRACEPARENT.encode())

    def _around_id(self, event_type: str) -> tuple[bytes, bytes]:
        """Return the bytes of the headers before the text of the id and behind it."""
        envelope = self._envelope
        headers = output_headers(
            source=envelope.source,
            type=event_type,
            topic="",
            partition=0,
            offset=0,
            time_header=envelope.time_header,
            incoming=None,
        )
        self._n_headers = len(headers)
        names = [name for name, _ in headers]
        at = names.index("ce_id")
        before = b"".join(header_bytes(name, value) for name, value in headers[:at])
        behind = b"".join(header_bytes(name, value) for name, value in headers[at + 1 :])
        return before + varint(len("ce_id")) + b"ce_id", behind

    def write(
        self, records: RecordSlice, rows: I64, *, values: U8, bounds: I64, nth: I64, frame: bytes
    ) -> OutputSlice:
        """Return the outputs of some records of a slice.

        Args:
            records: the slice.
            rows: int64 (n), ascending: which of its records.
            values: uint8: the values of all outputs, without frame.
            bounds: int64: value i lies from `bounds[i]` to `bounds[i + 1]`.
            nth: int64 (n): which value each output has; -1 is none.
            frame: comes before each value.
        """
        topic, partition = records.source
        has_value = nth >= 0
        at = np.where(has_value, nth, 0)
        starts = bounds[at]
        sizes = np.where(has_value, bounds[np.minimum(at + 1, len(bounds) - 1)] - starts, -1).astype(np.int32)
        arrays = OutputArrays(
            source=records.arrays,
            rows=rows,
            values=values,
            value_at=starts,
            value_size=sizes,
            frame=_array(frame),
            head=self._head,
            n_headers=self._n_headers,
            id_start=_array(f"{topic}/{partition}/".encode()),
            tail=self._tail,
            tombstone_tail=self._tombstone_tail,
            trace_head=self._trace_head,
            timestamp_ms=self._envelope.timestamp_ms,
        )
        return OutputSlice(records, self._envelope, arrays)


def _array(data: bytes) -> U8:
    return np.frombuffer(data, np.uint8)
