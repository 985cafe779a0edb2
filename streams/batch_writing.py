"""Writes Kafka's record batches from columns, straight into the bytes that are sent."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from aiokafka import codec
from aiokafka.record.util import calc_crc32c
from numba import njit

from schemas.byte_copy import copy_bytes
from streams.batch_format import (
    AFTER_CRC,
    AFTER_LENGTH,
    BATCH_HEADER,
    CRC_AT,
    I32,
    I64,
    PRODUCER_AT,
    TRANSACTIONAL,
    U8,
    put_varint,
    varint_size,
)
from streams.batch_reading import RecordArrays

_ENCODERS: Final[dict[str, tuple[int, Any]]] = {
    "gzip": (1, codec.gzip_encode),
    "snappy": (2, codec.snappy_encode),
    "lz4": (3, codec.lz4_encode),
    "zstd": (4, codec.zstd_encode),
}
#: At most so many bytes of a record are not its parts: attributes and deltas, lengths, the digits of an offset.
_RECORD_OVERHEAD: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputArrays:
    """What n outputs consist of. A size of -1 is null.

    Attributes:
        source: where keys and traces lie: the records that the outputs come from.
        rows: int64 (n): the source's row of each output.
        values: uint8: where values lie.
        value_at: int64 (n); value_size: int32 (n), without the frame; null values are tombstones.
        frame: uint8: comes before every value that is not null.
        head: uint8: the headers up to the text of the id, without their number.
        n_headers: how many headers there are without the trace.
        id_start: uint8: the text of the id up to the input's offset.
        tails: uint8: what follows the id, for values; `tombstone_tail`: the same for null values.
        trace_head: uint8: name of the trace's header, with its length.
        timestamp_ms: of all of them.
    """

    source: RecordArrays
    rows: I64
    values: U8
    value_at: I64
    value_size: I32
    frame: U8
    head: U8
    n_headers: int
    id_start: U8
    tail: U8
    tombstone_tail: U8
    trace_head: U8
    timestamp_ms: int


class FilledBatch:
    """A batch of records, with the interface of aiokafka's BatchBuilder as its sender uses it."""

    def __init__(self, buffer: bytearray, n_records: int) -> None:
        self._buffer = buffer
        self._n_records = n_records
        self._is_built = False

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        struct.pack_into(">qhi", self._buffer, PRODUCER_AT, producer_id, producer_epoch, base_sequence)
        self._is_built = False

    def _build(self) -> bytearray:
        if not self._is_built:
            struct.pack_into(">I", self._buffer, CRC_AT, calc_crc32c(memoryview(self._buffer)[AFTER_CRC:]))
            self._is_built = True
        return self._buffer

    def record_count(self) -> int:
        """Return how many records it has."""
        return self._n_records

    def size(self) -> int:
        """Return its bytes."""
        return len(self._buffer)

    def closed(self) -> bool:
        """Return True: nothing can be added."""
        return True

    def append(self, **_: object) -> None:
        """Return None: it is full, as far as aiokafka is concerned."""

    def close(self) -> None:
        """Do nothing: it is closed."""


def write_batch(
    outputs: OutputArrays, start: int, *, most_bytes: int, compression: str | None, is_transactional: bool
) -> tuple[FilledBatch, int]:
    """Return a batch of the outputs from `start` on, as many as fit, and where the next one begins.

    A batch has at most `most_bytes` before compression, or one record if that alone is larger.
    """
    out = np.empty(BATCH_HEADER.size + _room(outputs, start, most_bytes - BATCH_HEADER.size), np.uint8)
    stop, end = _write(
        out,
        BATCH_HEADER.size,
        start,
        outputs.rows,
        outputs.source.buffer,
        outputs.source.offsets,
        outputs.source.key_at,
        outputs.source.key_size,
        outputs.source.trace_at,
        outputs.source.trace_size,
        outputs.values,
        outputs.value_at,
        outputs.value_size,
        outputs.frame,
        outputs.head,
        outputs.n_headers,
        outputs.id_start,
        outputs.tail,
        outputs.tombstone_tail,
        outputs.trace_head,
    )
    attributes = TRANSACTIONAL if is_transactional else 0
    if compression is None:
        buffer = bytearray(out[:end])  # the header among it, to be filled: not copied once more
    else:
        number, encode = _ENCODERS[compression]
        attributes |= number
        buffer = bytearray(BATCH_HEADER.size) + encode(out[BATCH_HEADER.size : end].tobytes())
    n_records = stop - start
    BATCH_HEADER.pack_into(
        buffer,
        0,
        0,
        len(buffer) - AFTER_LENGTH,
        -1,
        2,
        0,
        attributes,
        n_records - 1,
        outputs.timestamp_ms,
        outputs.timestamp_ms,
        -1,
        -1,
        -1,
        n_records,
    )
    return FilledBatch(buffer, n_records), stop


def _room(outputs: OutputArrays, start: int, most_bytes: int) -> int:
    """Return how many bytes to reserve: enough for all outputs, at most `most_bytes`, but enough for the first."""
    rows = outputs.rows[start:]
    tail = max(len(outputs.tail), len(outputs.tombstone_tail))
    fixed = _RECORD_OVERHEAD + len(outputs.frame) + len(outputs.head) + len(outputs.id_start) + tail
    sizes = (
        outputs.source.key_size[rows].astype(np.int64)
        + outputs.source.trace_size[rows]
        + outputs.value_size[start:]
        + (fixed + len(outputs.trace_head))
    )
    return int(max(sizes[0], min(int(sizes.sum()), most_bytes)))


@njit(cache=True, nogil=True)
def _put(out: U8, at: int, data: U8, start: int, size: int) -> int:
    copy_bytes(out, at, data, start, size)
    return at + size


@njit(cache=True, nogil=True)
def _n_digits(number: int) -> int:
    digits = 1
    while number > 9:
        number //= 10
        digits += 1
    return digits


@njit(cache=True, nogil=True)
def _write(
    out: U8,
    at: int,
    start: int,
    rows: I64,
    buffer: U8,
    offsets: I64,
    key_at: I64,
    key_size: I32,
    trace_at: I64,
    trace_size: I32,
    values: U8,
    value_at: I64,
    value_size: I32,
    frame: U8,
    head: U8,
    n_headers: int,
    id_start: U8,
    tail: U8,
    tombstone_tail: U8,
    trace_head: U8,
) -> tuple[int, int]:
    """Write records until one does not fit; return which one that is, and the end of the one before."""
    for nth in range(start, len(rows)):
        row = int(rows[nth])
        offset = int(offsets[row])
        size = int(value_size[nth])
        size = size if size < 0 else size + len(frame)
        key = int(key_size[row])
        trace = int(trace_size[row])
        digits = _n_digits(offset)
        id_size = len(id_start) + digits
        body = (
            2  # attributes and timestamp delta, both 0
            + varint_size(nth - start)
            + varint_size(key)
            + max(key, 0)
            + varint_size(size)
            + max(size, 0)
            + varint_size(n_headers + (1 if trace >= 0 else 0))
            + len(head)
            + varint_size(id_size)
            + id_size
            + (len(tombstone_tail) if size < 0 else len(tail))
        )
        if trace >= 0:
            body += len(trace_head) + varint_size(trace) + trace
        if at + varint_size(body) + body > len(out):
            return nth, at
        at = put_varint(out, at, body)
        out[at] = 0
        out[at + 1] = 0
        at = put_varint(out, at + 2, nth - start)
        at = put_varint(out, at, key)
        if key > 0:
            at = _put(out, at, buffer, int(key_at[row]), key)
        at = put_varint(out, at, size)
        if size >= 0:
            at = _put(out, at, frame, 0, len(frame))
            at = _put(out, at, values, int(value_at[nth]), int(value_size[nth]))
        at = put_varint(out, at, n_headers + (1 if trace >= 0 else 0))
        at = _put(out, at, head, 0, len(head))
        at = put_varint(out, at, id_size)
        at = _put(out, at, id_start, 0, len(id_start))
        number = offset
        for i in range(digits - 1, -1, -1):
            out[at + i] = 48 + number % 10
            number //= 10
        at += digits
        if size < 0:
            at = _put(out, at, tombstone_tail, 0, len(tombstone_tail))
        else:
            at = _put(out, at, tail, 0, len(tail))
        if trace >= 0:
            at = _put(out, at, trace_head, 0, len(trace_head))
            at = put_varint(out, at, trace)
            if trace > 0:
                at = _put(out, at, buffer, int(trace_at[row]), trace)
    return len(rows), at
