"""Hashed n-grams: which buckets the words and characters of a text fall into, and how often.

An n-gram's bucket is `murmur3_32(its UTF-8, seed of the block) mod 2**hash_bits`, where the seed is
`murmur3_32("<field>/<kind>", seed 0)`: the same word in two fields is two features.

- Word n-grams are n successive words joined by one space, first all of the shortest n, then of the next.
- Character n-grams lie inside one word with a space on each side, as scikit-learn's `char_wb` has them: word by
  word, for each n from shortest to longest, all runs of n code points from left to right. A padded word of n code
  points or fewer is taken once as a whole, and then no longer n-grams are taken of it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from numba import njit

from features.murmur3 import eight_bytes, hash_name, murmur3_32, murmur3_32_short
from features.normal_form import NormalForms
from features.spec import FeatureSpec
from features.utf8 import next_at

_BlockArrays: TypeAlias = tuple[npt.NDArray[np.int64], npt.NDArray[np.uint32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCounts:
    """How often each bucket occurs, by row and text block.

    The entries of row r, block b are those from `indptr[r * n_blocks + b]` to the next: each bucket once, in the
    order of first occurrence.

    Attributes:
        indptr: int64, n_rows * n_blocks + 1.
        buckets: int32.
        hashes: uint32, of which the buckets are the remainders: they tell n-grams of one bucket apart. Where two
            n-grams of a text share a bucket, the hash of the first.
        counts: float32, whole numbers.
        n_blocks: blocks a row; 0 if the spec has none.
    """

    indptr: npt.NDArray[np.int64]
    buckets: npt.NDArray[np.int32]
    hashes: npt.NDArray[np.uint32]
    counts: npt.NDArray[np.float32]
    n_blocks: int


@functools.lru_cache(maxsize=16)
def _constants(spec: FeatureSpec, fields: tuple[str, ...]) -> _BlockArrays:
    """Return the blocks (field, is it of characters, shortest, longest) and their seeds, for the kernels."""
    blocks = [
        (fields.index(block.field), block.kind == "char", block.shortest, block.longest) for block in spec.blocks
    ]
    seeds = [hash_name(block.name) for block in spec.blocks]
    return np.array(blocks, np.int64).reshape(len(blocks), 4), np.array(seeds, np.uint32)


def count_ngrams(forms: NormalForms, fields: tuple[str, ...], n_rows: int, spec: FeatureSpec) -> TokenCounts:
    """Count the n-grams of every block of the spec, in normal forms whose fields are `fields`."""
    blocks, seeds = _constants(spec, fields)
    n_blocks = len(blocks)
    indptr = np.zeros(n_rows * n_blocks + 1, np.int64)
    n_entries, n_slots = _bounds(forms.lengths, forms.word_bounds, blocks, n_rows, spec.n_buckets)
    hashes = np.empty(n_entries, np.uint32)
    counts = np.empty(n_entries, np.float32)
    bucket_mask = np.uint32(spec.n_buckets - 1)
    n_entries = _count(
        forms.text,
        forms.bounds,
        forms.words,
        forms.word_bounds,
        forms.lengths,
        blocks,
        seeds,
        n_rows,
        bucket_mask,
        np.zeros(n_slots, np.int64),
        np.empty(n_slots, np.int64),
        indptr,
        hashes,
        counts,
    )
    # No copies of what is used: pages of a large array that nobody writes to are never made.
    hashes = hashes[:n_entries]
    return TokenCounts(
        indptr=indptr,
        buckets=(hashes & bucket_mask).view(np.int32),
        hashes=hashes,
        counts=counts[:n_entries],
        n_blocks=n_blocks,
    )


@njit(cache=True, nogil=True)
def _most_entries(n_words: int, length: int, is_char: int, shortest: int, longest: int) -> int:
    """Return an upper bound of the n-grams of a text of `n_words` words and `length` code points."""
    if n_words == 0:
        return 0
    # Padded words share no space: together they have the text's code points and one more space for each word + 1.
    a_size = length + n_words + 1 if is_char else n_words
    return a_size * (longest - shortest + 1)


@njit(cache=True, nogil=True)
def _n_slots(n_entries: int, n_buckets: int) -> int:
    """Return the size of a hash table that stays at most half full: a power of two."""
    most = min(n_entries, n_buckets)
    n_slots = 16
    while n_slots < 2 * most:
        n_slots *= 2
    return n_slots


@njit(cache=True, nogil=True)
def _bounds(
    lengths: npt.NDArray[np.int64],
    word_bounds: npt.NDArray[np.int64],
    blocks: npt.NDArray[np.int64],
    n_rows: int,
    n_buckets: int,
) -> tuple[int, int]:
    """Return upper bounds of all entries together and of the hash table of any one row's block."""
    total = 0
    most = 0
    for block in range(len(blocks)):
        for row in range(n_rows):
            value = blocks[block, 0] * n_rows + row
            n_words = word_bounds[value + 1] - word_bounds[value] - 1
            n_entries = _most_entries(
                n_words, lengths[value], blocks[block, 1], blocks[block, 2], blocks[block, 3]
            )
            total += n_entries
            most = max(most, n_entries)
    return total, _n_slots(most, n_buckets)


@njit(cache=True, nogil=True)
def _is_ascii(text: npt.NDArray[np.uint8], start: int, end: int) -> bool:
    seen = np.uint8(0)
    for at in range(start, end):
        seen |= text[np.uint64(at)]
    return bool(seen < 0x80)


@njit(cache=True, nogil=True)
def _add(
    hashed: np.uint32,
    bucket_mask: np.uint32,
    stamp: int,
    mask: int,
    slots: npt.NDArray[np.int64],
    places: npt.NDArray[np.int64],
    hashes: npt.NDArray[np.uint32],
    counts: npt.NDArray[np.float32],
    n_entries: int,
) -> int:
    """Count one occurrence; return the number of entries after it."""
    bucket = int(hashed & bucket_mask)
    key = stamp | bucket
    slot = bucket & mask
    while True:
        found = slots[slot]
        if found == key:
            counts[places[slot]] += np.float32(1)
            return n_entries
        if found < stamp:  # empty, or left there by an earlier row's block
            slots[slot] = key
            places[slot] = n_entries
            hashes[n_entries] = hashed
            counts[n_entries] = np.float32(1)
            return n_entries + 1
        slot = (slot + 1) & mask


@njit(cache=True, nogil=True)
def _count(
    text: npt.NDArray[np.uint8],
    bounds: npt.NDArray[np.int64],
    words: npt.NDArray[np.int64],
    word_bounds: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    blocks: npt.NDArray[np.int64],
    seeds: npt.NDArray[np.uint32],
    n_rows: int,
    bucket_mask: np.uint32,
    slots: npt.NDArray[np.int64],
    places: npt.NDArray[np.int64],
    indptr: npt.NDArray[np.int64],
    hashes: npt.NDArray[np.uint32],
    counts: npt.NDArray[np.float32],
) -> int:
    """Fill the entries of all rows and blocks; return how many there are."""
    n_entries = 0
    n_blocks = len(blocks)
    for row in range(n_rows):
        for block in range(n_blocks):
            is_char = int(blocks[block, 1])
            shortest = int(blocks[block, 2])
            longest = int(blocks[block, 3])
            value = int(blocks[block, 0]) * n_rows + row
            first_word = int(word_bounds[value])
            n_words = int(word_bounds[value + 1]) - first_word - 1
            seed = seeds[block]
            # Slots hold stamp | bucket, and stamps only rise, so a table needs no clearing between texts.
            stamp = (row * n_blocks + block + 1) << 31
            most = _most_entries(n_words, int(lengths[value]), is_char, shortest, longest)
            mask = _n_slots(most, int(bucket_mask) + 1) - 1
            if not is_char:
                for n in range(shortest, longest + 1):
                    for word in range(first_word, first_word + n_words - n + 1):
                        hashed = murmur3_32(text, int(words[word]), int(words[word + n]) - 1, seed)
                        n_entries = _add(
                            hashed, bucket_mask, stamp, mask, slots, places, hashes, counts, n_entries
                        )
            else:
                for word in range(first_word, first_word + n_words):
                    start = int(words[word]) - 1
                    end = int(words[word + 1])
                    if longest <= 8 and _is_ascii(text, start, end):
                        # Code points are bytes, and an n-gram is one number.
                        for n in range(shortest, longest + 1):
                            for low in range(start, max(end - n, start) + 1):
                                size = min(n, end - low)
                                hashed = murmur3_32_short(eight_bytes(text, low), size, seed)
                                n_entries = _add(
                                    hashed, bucket_mask, stamp, mask, slots, places, hashes, counts, n_entries
                                )
                            if n >= end - start:
                                break
                        continue
                    for n in range(shortest, longest + 1):
                        low = start
                        high = start
                        left = n
                        while left > 0 and high < end:
                            high = next_at(text, high)
                            left -= 1
                        hashed = murmur3_32(text, low, high, seed)
                        n_entries = _add(
                            hashed, bucket_mask, stamp, mask, slots, places, hashes, counts, n_entries
                        )
                        if high == end:
                            break
                        while high < end:
                            low = next_at(text, low)
                            high = next_at(text, high)
                            hashed = murmur3_32(text, low, high, seed)
                            n_entries = _add(
                                hashed, bucket_mask, stamp, mask, slots, places, hashes, counts, n_entries
                            )
            indptr[row * n_blocks + block + 1] = n_entries
    return n_entries
