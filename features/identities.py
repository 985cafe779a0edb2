"""Who made a product and who sells it: hashes of the whole brand and seller, in normal form.

The dense features know a brand by one of a thousand buckets, the n-grams by its words. Neither can tell whether
this very brand was seen before; 32 bits can.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

from features.murmur3 import murmur3_32
from features.normal_form import NormalForms

FIELDS: Final = ("brand", "seller_id")
"""The fields, in the order of the columns."""

ABSENT: Final = -1
"""In place of a hash: the field is null or has no words, or the features read no such field."""


def identities(forms: NormalForms, fields: tuple[str, ...], n_rows: int) -> npt.NDArray[np.int64]:
    """Return murmur3 (seed 0) of each normal form without its outer spaces, int64 (n_rows, 2), or ABSENT.

    `forms` holds the normal forms of `fields`.

    >>> import pyarrow as pa
    >>> from features.normal_form import normal_forms
    >>> products = pa.record_batch({"brand": ["G.Skill", "g skill", "-", None], "seller_id": ["a", "b", "a", "b"]})
    >>> hashes = identities(normal_forms(products, FIELDS), FIELDS, 4)
    >>> (hashes == hashes[0]).tolist()
    [[True, True], [True, False], [False, True], [False, False]]
    >>> hashes[2:, 0].tolist()
    [-1, -1]
    """
    hashes = np.full((n_rows, len(FIELDS)), ABSENT, np.int64)
    for column, field in enumerate(FIELDS):
        if field in fields:
            _hash(forms.text, forms.bounds, fields.index(field) * n_rows, column, hashes)
    return hashes


@njit(cache=True, nogil=True)
def _hash(
    text: npt.NDArray[np.uint8],
    bounds: npt.NDArray[np.int64],
    first_value: int,
    column: int,
    hashes: npt.NDArray[np.int64],
) -> None:
    for row in range(len(hashes)):
        start, end = bounds[first_value + row], bounds[first_value + row + 1]
        if start < end:
            hashes[row, column] = murmur3_32(text, start + 1, end - 1, np.uint32(0))
