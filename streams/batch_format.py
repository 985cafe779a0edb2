"""The format of Kafka's record batches (v2), shared by those who read and who write them.

https://kafka.apache.org/documentation/#messageformat: integers are big-endian, lengths zigzag varints.
"""

from __future__ import annotations

import struct
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from numba import njit

U8: TypeAlias = npt.NDArray[np.uint8]
I32: TypeAlias = npt.NDArray[np.int32]
I64: TypeAlias = npt.NDArray[np.int64]

BATCH_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
"""Base offset, length of what follows, leader epoch, magic, CRC, attributes, last offset delta, first and largest
timestamp, producer id, producer epoch, base sequence, number of records."""
LENGTH_AT: Final = 8
AFTER_LENGTH: Final = 12
CRC_AT: Final = 17
AFTER_CRC: Final = 21
PRODUCER_AT: Final = 43

CODEC_MASK: Final = 0x07
LOG_APPEND_TIME: Final = 0x08
TRANSACTIONAL: Final = 0x10


def varint(number: int) -> bytes:
    r"""Return a zigzag varint.

    >>> varint(-1), varint(150)
    (b'\x01', b'\xac\x02')
    """
    value = (number << 1) ^ (number >> 63)
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def header_bytes(name: str, value: bytes) -> bytes:
    """Return a header as it is in a record."""
    encoded = name.encode()
    return varint(len(encoded)) + encoded + varint(len(value)) + value


@njit(cache=True, nogil=True)
def read_varint(buffer: U8, at: int) -> tuple[int, int]:
    """Return the zigzag varint at `at`, and where the next thing begins; beyond the buffer if that ends in it."""
    value = np.uint64(0)
    shift = np.uint64(0)
    while at < len(buffer):
        byte = np.uint64(buffer[at])
        at += 1
        value |= (byte & np.uint64(0x7F)) << shift
        if byte < np.uint64(0x80):
            return int(np.int64(value >> np.uint64(1)) ^ -np.int64(value & np.uint64(1))), at
        shift += np.uint64(7)
        if shift > np.uint64(63):
            break
    return -2, len(buffer) + 1


@njit(cache=True, nogil=True)
def varint_size(number: int) -> int:
    """Return how many bytes the number takes as a zigzag varint."""
    value = np.uint64(number << 1) ^ np.uint64(number >> 63)
    size = 1
    while value > np.uint64(0x7F):
        value >>= np.uint64(7)
        size += 1
    return size


@njit(cache=True, nogil=True)
def put_varint(out: U8, at: int, number: int) -> int:
    """Write the number as a zigzag varint; return where the next thing goes."""
    value = np.uint64(number << 1) ^ np.uint64(number >> 63)
    while value > np.uint64(0x7F):
        out[at] = np.uint8((value & np.uint64(0x7F)) | np.uint64(0x80))
        at += 1
        value >>= np.uint64(7)
    out[at] = np.uint8(value)
    return at + 1
