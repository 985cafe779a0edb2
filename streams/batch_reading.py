"""Reads Kafka's record batches column by column: the bytes stay where they are, arrays say what lies where.

A record in Python is an object with a key, a value and a list of headers. To make and take apart so many objects
costs more than the work of the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from aiokafka import codec
from aiokafka.errors import CorruptRecordException
from numba import njit

from schemas.cloudevents import TRACEPARENT
from streams.batch_format import BATCH_HEADER, CODEC_MASK, I32, I64, LOG_APPEND_TIME, U8, read_varint

_DECODERS: Final = {1: codec.gzip_decode, 2: codec.snappy_decode, 3: codec.lz4_decode, 4: codec.zstd_decode}
_TRACEPARENT: Final = np.frombuffer(TRACEPARENT.encode(), np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordArrays:
    """Where the parts of n records lie in a buffer. A size of -1 is null.

    Attributes:
        buffer: uint8.
        offsets: int64 (n), ascending.
        timestamps: int64 (n), milliseconds since 1970.
        timestamp_types: uint8 (n), 0 if the producer set the timestamp, 1 if the broker did.
        key_at, value_at: int64 (n), first byte.
        key_size, value_size: int32 (n), bytes.
        headers_at: int64 (n), first byte of the number of headers.
        trace_at, trace_size: the value of the last header `traceparent` that has one.
    """

    buffer: U8
    offsets: I64
    timestamps: I64
    timestamp_types: U8
    key_at: I64
    key_size: I32
    value_at: I64
    value_size: I32
    headers_at: I64
    trace_at: I64
    trace_size: I32

    def between(self, start: int, stop: int) -> RecordArrays:
        """Return the records from `start` to before `stop`, over the same buffer."""
        columns = (getattr(self, name)[start:stop] for name in _COLUMNS)
        return RecordArrays(buffer=self.buffer, **dict(zip(_COLUMNS, columns, strict=True)))


_COLUMNS: Final = tuple(name for name in RecordArrays.__slots__ if name != "buffer")
_PLACES: Final = ("key_at", "value_at", "headers_at", "trace_at")


def read_batch(data: U8, at: int, size: int) -> RecordArrays:
    """Return the records of the batch that lies in `data` from `at` on, `size` bytes long.

    The buffer is `data` itself, or what was compressed. The checksum is not looked at. Raises
    CorruptRecordException if the bytes are not what the format says.
    """
    base_offset, _, _, magic, _, attributes, _, first_ms, largest_ms, _, _, _, n_records = (
        BATCH_HEADER.unpack_from(data.data, at)
    )
    if magic != 2:
        raise CorruptRecordException(f"record batch of format {magic}; Kafka 0.11 and newer write 2")
    buffer, start, end = data, at + BATCH_HEADER.size, at + size
    if attributes & CODEC_MASK:
        buffer = _uncompressed(attributes & CODEC_MASK, data[start:end].tobytes())
        start, end = 0, len(buffer)
    if not 0 <= n_records <= end - start:
        raise CorruptRecordException(f"a record batch of {end - start} bytes says that it has {n_records} records")
    columns = {
        name: np.empty(n_records, np.int32 if name.endswith("_size") else np.int64)
        for name in _COLUMNS
        if name != "timestamp_types"
    }
    reached = _read(buffer, start, end, base_offset, first_ms, *columns.values())
    if reached != end:
        raise CorruptRecordException(f"the records of a batch end at byte {reached} instead of {end}")
    is_append_time = bool(attributes & LOG_APPEND_TIME)
    if is_append_time:
        columns["timestamps"][:] = largest_ms
    types = np.full(n_records, is_append_time, np.uint8)
    return RecordArrays(buffer=buffer, timestamp_types=types, **columns)


def join(parts: list[RecordArrays]) -> RecordArrays:
    """Return the records of all parts, in the order given; buffers that differ are put one behind the other."""
    if len(parts) == 1:
        return parts[0]
    columns = {name: np.concatenate([getattr(one, name) for one in parts]) for name in _COLUMNS}
    buffers: list[U8] = []
    shifts: list[int] = []
    length = 0
    for part in parts:
        if not buffers or part.buffer is not buffers[-1]:
            length += len(buffers[-1]) if buffers else 0
            buffers.append(part.buffer)
        shifts.append(length)
    if len(buffers) > 1:
        shift = np.repeat(np.array(shifts, np.int64), [len(one.offsets) for one in parts])
        for name in _PLACES:
            columns[name] += shift
    if len(buffers) == 1:
        return RecordArrays(buffer=buffers[0], **columns)
    joined = np.concatenate(buffers)
    joined.flags.writeable = False  # as what was fetched: the kernels are compiled for one type
    return RecordArrays(buffer=joined, **columns)


def header_list(buffer: U8, at: int) -> list[tuple[str, bytes | None]]:
    """Return the headers whose number is at `at`, in the order written."""
    count, at = read_varint(buffer, at)
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(count):
        size, at = read_varint(buffer, at)
        name = buffer[at : at + size].tobytes().decode("utf-8", "replace")
        size, at = read_varint(buffer, at + size)
        headers.append((name, None if size < 0 else buffer[at : at + size].tobytes()))
        at += max(size, 0)
    return headers


def _uncompressed(codec_id: int, data: bytes) -> U8:
    decode = _DECODERS.get(codec_id)
    if decode is None:
        raise CorruptRecordException(
            f"a record batch is compressed by codec {codec_id}, which Kafka does not have"
        )
    try:
        return np.frombuffer(decode(data), np.uint8)
    except RuntimeError as error:  # as cramjam and aiokafka say that the data are damaged
        raise CorruptRecordException(f"a record batch cannot be uncompressed: {error}") from error


@njit(cache=True, nogil=True)
def _is_traceparent(buffer: U8, at: int, size: int) -> bool:
    if size != len(_TRACEPARENT):
        return False
    for i in range(size):  # noqa: SIM110  # numba has no generators in all()
        if buffer[at + i] != _TRACEPARENT[i]:
            return False
    return True


@njit(cache=True, nogil=True)
def _read(
    buffer: U8,
    at: int,
    end: int,
    base_offset: int,
    first_ms: int,
    offsets: I64,
    timestamps: I64,
    key_at: I64,
    key_size: I32,
    value_at: I64,
    value_size: I32,
    headers_at: I64,
    trace_at: I64,
    trace_size: I32,
) -> int:
    """Fill the arrays; return the end of the last record, or -1 if a record is not what it should be."""
    for row in range(len(offsets)):
        length, at = read_varint(buffer, at)
        record_end = at + length
        if length < 0 or record_end > end:
            return -1
        delta_ms, at = read_varint(buffer, at + 1)  # the attributes of a record are not used
        delta, at = read_varint(buffer, at)
        timestamps[row] = first_ms + delta_ms
        offsets[row] = base_offset + delta
        size, at = read_varint(buffer, at)
        key_at[row], key_size[row] = at, size
        if size < -1 or size > record_end - at:
            return -1
        at += max(size, 0)
        size, at = read_varint(buffer, at)
        value_at[row], value_size[row] = at, size
        if size < -1 or size > record_end - at:
            return -1
        at += max(size, 0)
        headers_at[row] = at
        trace_at[row], trace_size[row] = 0, -1
        count, at = read_varint(buffer, at)
        if count < 0:
            return -1
        for _ in range(count):
            size, at = read_varint(buffer, at)
            if size < 0 or size > record_end - at:
                return -1
            is_trace = _is_traceparent(buffer, at, size)
            size, at = read_varint(buffer, at + size)
            if size < -1 or size > record_end - at:
                return -1
            if is_trace and size >= 0:
                trace_at[row], trace_size[row] = at, size
            at += max(size, 0)
        if at != record_end:
            return -1
    return at
