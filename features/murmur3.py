"""MurmurHash3 (x86, 32 bits) inside numba kernels; equal to `mmh3.hash(key, seed, signed=False)`.

Its result is fixed by the reference implementation. Nothing else may go into this module: numba's cache does not
notice that a kernel in another file calls something that changed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit


@njit(cache=True, nogil=True)
def murmur3_32(text: npt.NDArray[np.uint8], start: int, end: int, seed: np.uint32) -> np.uint32:
    """Hash the bytes `text[start:end]`."""
    c1 = np.uint32(0xCC9E2D51)
    c2 = np.uint32(0x1B873593)
    h = np.uint32(seed)
    # Unsigned, so that no index can mean "from the end": the four loads of a block then become one.
    at = np.uint64(start)
    one, two, three, four = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
    for _ in range((end - start) >> 2):
        k = np.uint32(
            np.uint32(text[at])
            | (np.uint32(text[at + one]) << np.uint32(8))
            | (np.uint32(text[at + two]) << np.uint32(16))
            | (np.uint32(text[at + three]) << np.uint32(24))
        )
        k = np.uint32(k * c1)
        k = np.uint32((k << np.uint32(15)) | (k >> np.uint32(17)))
        h = np.uint32(h ^ np.uint32(k * c2))
        h = np.uint32((h << np.uint32(13)) | (h >> np.uint32(19)))
        h = np.uint32(h * np.uint32(5) + np.uint32(0xE6546B64))
        at += four
    left = (end - start) & 3
    if left > 0:
        k = np.uint32(text[at])
        if left > 1:
            k = np.uint32(k | (np.uint32(text[at + one]) << np.uint32(8)))
        if left > 2:
            k = np.uint32(k | (np.uint32(text[at + two]) << np.uint32(16)))
        k = np.uint32(k * c1)
        k = np.uint32((k << np.uint32(15)) | (k >> np.uint32(17)))
        h = np.uint32(h ^ np.uint32(k * c2))
    return _finished(h, end - start)


@njit(cache=True, nogil=True)
def _finished(h: np.uint32, size: int) -> np.uint32:
    h = np.uint32(h ^ np.uint32(size))
    h = np.uint32(h ^ (h >> np.uint32(16)))
    h = np.uint32(h * np.uint32(0x85EBCA6B))
    h = np.uint32(h ^ (h >> np.uint32(13)))
    h = np.uint32(h * np.uint32(0xC2B2AE35))
    return np.uint32(h ^ (h >> np.uint32(16)))


@njit(cache=True, nogil=True)
def eight_bytes(text: npt.NDArray[np.uint8], start: int) -> np.uint64:
    """Return `text[start:start + 8]`, which must be inside of the array, as one number, the first byte lowest."""
    at = np.uint64(start)
    number = np.uint64(text[at])
    for byte in range(1, 8):
        number |= np.uint64(text[at + np.uint64(byte)]) << np.uint64(8 * byte)
    return number


@njit(cache=True, nogil=True)
def murmur3_32_short(key: np.uint64, size: int, seed: np.uint32) -> np.uint32:
    """Hash the lowest `size` bytes of a number, 1 to 8, as `murmur3_32` does those of a text."""
    c1 = np.uint32(0xCC9E2D51)
    c2 = np.uint32(0x1B873593)
    h = np.uint32(seed)
    left = size
    while left >= 4:
        k = np.uint32(np.uint32(key) * c1)
        k = np.uint32((k << np.uint32(15)) | (k >> np.uint32(17)))
        h = np.uint32(h ^ np.uint32(k * c2))
        h = np.uint32((h << np.uint32(13)) | (h >> np.uint32(19)))
        h = np.uint32(h * np.uint32(5) + np.uint32(0xE6546B64))
        key >>= np.uint64(32)
        left -= 4
    # Without a branch: no bytes left are a tail of zero, which changes nothing.
    k = np.uint32(np.uint32(key) & np.uint32((1 << (8 * left)) - 1))
    k = np.uint32(k * c1)
    k = np.uint32((k << np.uint32(15)) | (k >> np.uint32(17)))
    h = np.uint32(h ^ np.uint32(k * c2))
    return _finished(h, size)


def hash_name(name: str, *, seed: int = 0) -> int:
    """Hash a short name outside a kernel: how the seeds of fields and blocks are derived.

    >>> hash_name("title/word")
    2393691190
    """
    key = np.frombuffer(name.encode(), np.uint8)
    return int(murmur3_32(key, 0, len(key), np.uint32(seed)))
