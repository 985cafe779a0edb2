"""Which product is trained on, calibrated on, tested on: by a hash of its group, never by row.

Products that repeat each other's title (42 % of the sample catalogue) must not sit on two sides of a split, or the
test part rewards memory. The hash is BLAKE2b keyed with the seed, so that a product keeps its part whatever else
is in the catalogue.
"""

from __future__ import annotations

import hashlib
from typing import Final, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.product_files import fold_title

TRAIN: Final = 0
CALIBRATE: Final = 1
TEST: Final = 2

#: Share of the groups that are trained on, and that are trained or calibrated on. The rest is the test part.
_TRAIN_BELOW: Final = 0.64
_CALIBRATE_BELOW: Final = 0.80


def groups_of(products: pa.Table) -> pa.StringArray:
    """Return the split key of each product: its column `group`, or its folded title where that is missing."""
    if "group" not in products.column_names:
        return pa.array([fold_title(title) for title in _titles(products)], pa.string())
    given = products["group"]
    if given.null_count:
        folded = pa.chunked_array([[fold_title(title) for title in _titles(products)]], pa.string())
        given = pc.coalesce(given, folded)
    return cast("pa.StringArray", given.combine_chunks())


def _titles(products: pa.Table) -> list[str]:
    return cast("list[str]", products["title"].to_pylist())


def assign_parts(groups: pa.StringArray, *, seed: int = 0) -> npt.NDArray[np.int8]:
    """Return the part of each row: TRAIN (64 % of the groups), CALIBRATE (16 %) or TEST (20 %), as int8.

    Rows of one group get one part. Another seed gives another split.
    """
    share = _hash_shares(groups, person=b"part", seed=seed)
    return np.digitize(share, [_TRAIN_BELOW, _CALIBRATE_BELOW]).astype(np.int8)


def assign_folds(groups: pa.StringArray, n_folds: int, *, seed: int = 0) -> npt.NDArray[np.int8]:
    """Return a fold of 0 to n_folds - 1 for each row, independent of its part; one fold a group."""
    return np.floor(_hash_shares(groups, person=b"fold", seed=seed) * n_folds).astype(np.int8)


def _hash_shares(groups: pa.StringArray, *, person: bytes, seed: int) -> npt.NDArray[np.float64]:
    """Return a number in [0, 1) for each row, equal for equal groups."""
    encoded = groups.dictionary_encode()
    key = str(seed).encode()
    of_group = np.array(
        [
            int.from_bytes(hashlib.blake2b(group.encode(), digest_size=6, key=key, person=person).digest(), "big")
            for group in cast("list[str]", encoded.dictionary.to_pylist())
        ],
        dtype=np.float64,
    )
    shares: npt.NDArray[np.float64] = of_group[encoded.indices.to_numpy()] / 2.0**48
    return shares
