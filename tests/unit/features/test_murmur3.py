from __future__ import annotations

import mmh3
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from features.murmur3 import hash_name, murmur3_32


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
