"""What of a product the model has not seen: its brand, its seller, and how much of its text.

A model is asked about brands that came to the shop after it was trained. It answers all the same, and its
probabilities were calibrated on products of brands that it knew. So every decision tells what of the product was
new, by the hashes of the products that the model was fitted on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from features.identities import ABSENT
from features.matrix import FeatureMatrix
from models.seen_hashes import SeenHashes, is_seen
from models.weighting import frozen
from schemas import columns
from schemas.errors import SetupError

_NOTHING: Final = frozen(np.zeros(1, np.uint64))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Unseen:
    """What of some products is new, one row each.

    Attributes:
        brand, seller: bool; false where the product has none: what is absent is not unseen.
        text: float64, the share of its n-grams that were not seen, 0 to 1; each counts once a text block. 0 for a
            product without any. None if the features have no n-grams (profile `classic`).
    """

    brand: npt.NDArray[np.bool_]
    seller: npt.NDArray[np.bool_]
    text: npt.NDArray[np.float64] | None

    def columns(self) -> list[pa.Array[Any]]:
        """Return what `columns.DECISION` has beyond the verdict."""
        n_rows = len(self.brand)
        text = (
            pa.nulls(n_rows, pa.float64())
            if self.text is None
            else pa.Array.from_buffers(pa.float64(), n_rows, [None, pa.py_buffer(self.text.data)], 0)
        )
        return [_flags(self.brand), _flags(self.seller), text]


def unknown(n_rows: int) -> list[pa.Array[Any]]:
    """Return the columns of a model that does not know what it was fitted on: all null."""
    return [pa.nulls(n_rows, field.type) for field in list(columns.DECISION)[len(columns.VERDICT) :]]


def _flags(values: npt.NDArray[np.bool_]) -> pa.Array[Any]:
    bits = np.packbits(values, bitorder="little")
    return pa.Array.from_buffers(pa.bool_(), len(values), [None, pa.py_buffer(bits.data)], 0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Familiarity:
    """The brands, sellers and n-grams of the training part.

    What was seen is never called unseen. What was not is called seen now and then: four n-grams in a thousand, and
    one brand in four thousand million for each that was seen.

    Attributes:
        brands, sellers: uint32, ascending: hashes as of `features.identities`.
        ngrams: None if the features have none.

    Raises SetupError for arrays that cannot be that.
    """

    brands: npt.NDArray[np.uint32]
    sellers: npt.NDArray[np.uint32]
    ngrams: SeenHashes | None

    def __post_init__(self) -> None:
        for name in ("brands", "sellers"):
            hashes = getattr(self, name)
            if hashes.dtype != np.uint32 or hashes.ndim != 1 or (hashes[1:] <= hashes[:-1]).any():
                raise SetupError(f"The {name} seen in training must be hashes, uint32, that ascend.")
            object.__setattr__(self, name, frozen(hashes))

    def unseen(self, features: FeatureMatrix) -> Unseen:
        """Tell what of each product is new. Pure; a row does not depend on those around it; releases the GIL."""
        tokens = features.tokens
        n_rows = len(features.identities)
        brand, seller = np.empty(n_rows, np.bool_), np.empty(n_rows, np.bool_)
        text = np.empty(n_rows, np.float64)
        _tell(
            features.identities,
            self.brands,
            self.sellers,
            tokens.indptr,
            tokens.n_blocks,
            tokens.hashes,
            _NOTHING if self.ngrams is None else self.ngrams.words,
            brand,
            seller,
            text,
        )
        return Unseen(brand=brand, seller=seller, text=None if self.ngrams is None else text)


def fit_familiarity(features: FeatureMatrix) -> Familiarity:
    """Remember what is in the products that a model is fitted on."""
    brands, sellers = (np.unique(column[column != ABSENT]).astype(np.uint32) for column in features.identities.T)
    return Familiarity(
        brands=brands,
        sellers=sellers,
        ngrams=SeenHashes.of(features.tokens.hashes) if features.tokens.n_blocks else None,
    )


@njit(cache=True, nogil=True)
def _is_unseen(identity: np.int64, seen: npt.NDArray[np.uint32]) -> bool:
    if identity == ABSENT:
        return False
    low, high = 0, len(seen)
    while low < high:
        middle = (low + high) >> 1
        if np.int64(seen[middle]) < identity:
            low = middle + 1
        else:
            high = middle
    return low == len(seen) or np.int64(seen[low]) != identity


@njit(cache=True, nogil=True)
def _tell(
    identities: npt.NDArray[np.int64],
    brands: npt.NDArray[np.uint32],
    sellers: npt.NDArray[np.uint32],
    indptr: npt.NDArray[np.int64],
    n_blocks: int,
    hashes: npt.NDArray[np.uint32],
    words: npt.NDArray[np.uint64],
    brand: npt.NDArray[np.bool_],
    seller: npt.NDArray[np.bool_],
    text: npt.NDArray[np.float64],
) -> None:
    """Fill the last three."""
    for row in range(len(identities)):
        brand[row] = _is_unseen(identities[row, 0], brands)
        seller[row] = _is_unseen(identities[row, 1], sellers)
        first, last = indptr[row * n_blocks], indptr[(row + 1) * n_blocks]
        n_unseen = 0
        for entry in range(first, last):
            n_unseen += 0 if is_seen(hashes[entry], words) else 1
        text[row] = n_unseen / max(1, last - first)
