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
    at = start
    while at + 4 <= end:
        k = np.uint32(
            np.uint32(text[at])
            | (np.uint32(text[at + 1]) << np.uint32(8))
            | (np.uint32(text[at + 2]) << np.uint32(16))
            | (np.uint32(text[at + 3]) << np.uint32(24))
        )
        k = np.uint32(k * c1)
        k = np.uint32((k << np.uint32(15)) | (k >> np.uint32(17)))
        h = np.uint32(h ^ np.uint32(k * c2))
        h = np.uint32((h << np.uint32(13)) | (h >> np.uint32(19)))
        h = np.uint32(h * np.uint32(5) + np.uint32(0xE6546B64))
        at += 4
    left = end - at
    if left > 0:
        k = np.uint32(text[at])
        if left > 1:
            k = np.uint32(k | (np.uint32(text[at + 1]) << np.uint32(8)))
        if left > 2:
            k = np.uint32(k | (np.uint32(text[at + 2]) << np.uint32(16)))
        k = np.uint32(k * c1)
        k = np.uint32((k << np.uint32(15)) | (k >> np.uint32(17)))
        h = np.uint32(h ^ np.uint32(k * c2))
    h = np.uint32(h ^ np.uint32(end - start))
    h = np.uint32(h ^ (h >> np.uint32(16)))
    h = np.uint32(h * np.uint32(0x85EBCA6B))
    h = np.uint32(h ^ (h >> np.uint32(13)))
    h = np.uint32(h * np.uint32(0xC2B2AE35))
    return np.uint32(h ^ (h >> np.uint32(16)))


def hash_name(name: str, *, seed: int = 0) -> int:
    """Hash a short name outside a kernel: how the seeds of fields and blocks are derived.

    >>> hash_name("title/word")
    2393691190
    """
    key = np.frombuffer(name.encode(), np.uint8)
    return int(murmur3_32(key, 0, len(key), np.uint32(seed)))
