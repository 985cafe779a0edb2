from __future__ import annotations

import mmh3
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from features.murmur3 import eight_bytes, hash_name, murmur3_32, murmur3_32_short


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=70), st.integers(0, 2**32 - 1), st.binary(max_size=5), st.binary(max_size=5))
def test_murmur3_equals_mmh3_for_any_bytes_seed_and_place(
    key: bytes, seed: int, before: bytes, after: bytes
) -> None:
    text = np.frombuffer(before + key + after, np.uint8)

    found = murmur3_32(text, len(before), len(before) + len(key), np.uint32(seed))

    assert found == mmh3.hash(key, seed, signed=False)


def test_a_name_is_hashed_as_utf8() -> None:
    assert hash_name("größe", seed=3) == mmh3.hash("größe".encode(), 3, signed=False)


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=1, max_size=8), st.integers(0, 2**32 - 1), st.binary(max_size=5), st.binary(min_size=7))
def test_a_short_key_is_hashed_as_one_number_whatever_follows_it(
    key: bytes, seed: int, before: bytes, after: bytes
) -> None:
    text = np.frombuffer(before + key + after, np.uint8)

    number = np.uint64(eight_bytes(text, len(before)))  # numba gives Python a plain int
    found = murmur3_32_short(number, len(key), np.uint32(seed))

    assert found == mmh3.hash(key, seed, signed=False)
