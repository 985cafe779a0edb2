"""A set of 32-bit hashes that forgets none and is wrong about few others: a Bloom filter, one word a hash.

A hash chooses one word of 64 bits and five bits in it; it is taken for seen if all five are set. So a lookup reads
memory once. With 16 bits a hash, four in a thousand that were never added are taken for seen
(docs/decisions/0016-unseen.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

from models.weighting import frozen
from schemas.errors import SetupError

BITS_PER_HASH: Final = 16

#: Odd numbers of 64 bits whose products spread a hash: any would do, and they are part of the bundle's format.
_TO_WORD: Final = np.uint64(0x9E3779B97F4A7C15)
_TO_BITS: Final = np.uint64(0xC2B2AE3D27D4EB4F)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeenHashes:
    """The filter.

    Attributes:
        words: uint64, at least one.

    Raises SetupError for other arrays.
    """

    words: npt.NDArray[np.uint64]

    def __post_init__(self) -> None:
        if self.words.dtype != np.uint64 or self.words.ndim != 1 or not len(self.words):
            raise SetupError("A filter of seen hashes must be one row of uint64, and not empty.")
        object.__setattr__(self, "words", frozen(self.words))

    @classmethod
    def of(cls, hashes: npt.NDArray[np.uint32]) -> SeenHashes:
        """Return a filter of these hashes; their order and how often each occurs do not matter.

        >>> seen = SeenHashes.of(np.arange(0, 2000, 2, dtype=np.uint32))
        >>> seen.contains(np.arange(0, 6, dtype=np.uint32)).tolist()
        [True, False, True, False, True, False]
        """
        distinct = np.unique(hashes)
        words = np.zeros(max(1, -(-len(distinct) * BITS_PER_HASH // 64)), np.uint64)
        _add(distinct, words)
        return cls(words=words)

    def contains(self, hashes: npt.NDArray[np.uint32]) -> npt.NDArray[np.bool_]:
        """Tell of each hash whether it was added: always right where it was."""
        found = np.empty(len(hashes), np.bool_)
        _contain(frozen(hashes), self.words, found)
        return found


@njit(cache=True, nogil=True)
def is_seen(hashed: np.uint32, words: npt.NDArray[np.uint64]) -> bool:
    """Tell whether one hash was added. For kernels elsewhere: after a change here delete `models/__pycache__`."""
    bits = _bits(hashed)
    return bool(words[_word(hashed, words)] & bits == bits)


@njit(cache=True, nogil=True)
def _word(hashed: np.uint32, words: npt.NDArray[np.uint64]) -> np.uint64:
    upper = (np.uint64(hashed) * _TO_WORD) >> np.uint64(32)
    return (upper * np.uint64(len(words))) >> np.uint64(32)


@njit(cache=True, nogil=True)
def _bits(hashed: np.uint32) -> np.uint64:
    spread = np.uint64(hashed) * _TO_BITS
    bits = np.uint64(0)
    for _ in range(5):
        bits |= np.uint64(1) << (spread >> np.uint64(58))
        spread <<= np.uint64(6)
    return bits


@njit(cache=True, nogil=True)
def _add(hashes: npt.NDArray[np.uint32], words: npt.NDArray[np.uint64]) -> None:
    for hashed in hashes:
        words[_word(hashed, words)] |= _bits(hashed)


@njit(cache=True, nogil=True)
def _contain(hashes: npt.NDArray[np.uint32], words: npt.NDArray[np.uint64], found: npt.NDArray[np.bool_]) -> None:
    for i in range(len(hashes)):
        found[i] = is_seen(hashes[i], words)
