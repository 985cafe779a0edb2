"""What one n-gram of a product weighs: the only place that knows, for training and for serving.

An entry (a bucket that occurs `count` times in one text block of one product) weighs

    (1 + ln count) * idf[bucket] * block_weight / norm

where norm is the Euclidean length of the block's own entries before `block_weight`. So every block that has text
has length `block_weight`, however long it is: a long description cannot drown the title.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt
from numba import njit

from features.ngrams import TokenCounts
from schemas.errors import SetupError

if TYPE_CHECKING:
    from scipy import sparse

_Number = TypeVar("_Number", bound=np.generic)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Weighting:
    """Fitted once on the training part.

    Attributes:
        idf: float32 (n_buckets), inverse document frequency of each bucket, positive.
        block_weights: float32 (n_blocks), length of each block's part of a row vector.
    """

    idf: npt.NDArray[np.float32]
    block_weights: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        for name in ("idf", "block_weights"):
            array = getattr(self, name)
            if array.ndim != 1 or array.dtype != np.float32:
                raise SetupError(f"{name} must be one row of float32, not {array.dtype} of shape {array.shape}.")
            if not (np.isfinite(array) & (array >= 0)).all():
                raise SetupError(f"{name} must hold finite numbers from 0 up.")
            object.__setattr__(self, name, frozen(array))

    @property
    def n_buckets(self) -> int:
        """Size of the hash table."""
        return len(self.idf)

    @property
    def n_blocks(self) -> int:
        """Number of text blocks of a product."""
        return len(self.block_weights)

    def entry_weights(self, tokens: TokenCounts) -> npt.NDArray[np.float32]:
        """Return the weight of every entry, float32, in the order of `tokens.buckets`.

        Sums of squares run over a block's entries in order, in float64, so the result of a row does not depend on
        the rows around it. Raises SetupError if the tokens have another number of blocks.
        """
        self.check_blocks(tokens)
        weights = np.empty(len(tokens.buckets), np.float32)
        _weigh(tokens.indptr, tokens.buckets, tokens.counts, self.idf, self.block_weights, weights)
        return weights

    def check_blocks(self, tokens: TokenCounts) -> None:
        """Raise SetupError if the tokens have another number of blocks."""
        if tokens.n_blocks != self.n_blocks:
            raise SetupError(
                f"The products have {tokens.n_blocks} text blocks and the model was fitted on {self.n_blocks}."
            )

    def row_vectors(self, tokens: TokenCounts) -> sparse.csr_matrix:
        """Return the rows that the linear model is fitted on: CSR (n_rows, n_buckets), float32.

        Columns of a row are sorted and unique: a bucket that two blocks share holds the sum of both, which is what
        serving adds up. The tokens are only read.
        """
        from scipy import sparse  # takes half a second to import, and a worker fits nothing

        indptr = tokens.indptr[:: self.n_blocks]
        # A copy: sum_duplicates sorts and shortens the very arrays that it is given.
        matrix = sparse.csr_matrix(
            (self.entry_weights(tokens), tokens.buckets, indptr),
            shape=(len(indptr) - 1, self.n_buckets),
            copy=True,
        )
        matrix.sum_duplicates()
        return matrix


def frozen(array: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    """Return a contiguous view (or copy) that cannot be written to; the array given stays as it is.

    Kernels are compiled for read-only and for writable arrays apart: models hold one kind only.
    """
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def fit_weighting(tokens: TokenCounts, *, n_buckets: int, block_weights: npt.ArrayLike) -> Weighting:
    """Fit the inverse document frequencies: ln((1 + rows) / (1 + rows with the bucket)) + 1.

    A row counts once for a bucket, whatever the blocks it is in. The ones keep the weight of a bucket that is in
    every row at 1, and that of a bucket never seen finite.
    """
    n_rows = (len(tokens.indptr) - 1) // tokens.n_blocks
    rows_with = np.zeros(n_buckets, np.int64)
    _count_rows(tokens.indptr, tokens.n_blocks, tokens.buckets, np.full(n_buckets, -1, np.int64), rows_with)
    idf = np.log((1 + n_rows) / (1 + rows_with)) + 1
    return Weighting(idf=idf.astype(np.float32), block_weights=np.asarray(block_weights, np.float32))


@njit(cache=True, nogil=True)
def raw_weight(idf: np.float32, count: np.float32) -> np.float32:
    """Return what an entry weighs before its block is scaled. Kernels elsewhere call it: see `block_scale`."""
    # Most n-grams occur once: no logarithm for them.
    return idf if count == 1 else idf * np.float32(1.0 + math.log(count))


@njit(cache=True, nogil=True)
def block_scale(block_weight: np.float32, squares: float) -> np.float32:
    """Return the factor of a block's entries, given the sum of their squares, in float64 and above 0.

    numba's cache does not notice that a kernel in another file calls something that changed: after a change here,
    delete `models/__pycache__`.
    """
    return np.float32(block_weight / math.sqrt(squares))


@njit(cache=True, nogil=True)
def _weigh(
    indptr: npt.NDArray[np.int64],
    buckets: npt.NDArray[np.int32],
    counts: npt.NDArray[np.float32],
    idf: npt.NDArray[np.float32],
    block_weights: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float32],
) -> None:
    n_blocks = block_weights.shape[0]
    for block in range(indptr.shape[0] - 1):
        start, stop = indptr[block], indptr[block + 1]
        squares = 0.0
        for entry in range(start, stop):
            weight = raw_weight(idf[buckets[entry]], counts[entry])
            weights[entry] = weight
            squares += np.float64(weight) * np.float64(weight)
        if squares > 0:
            scale = block_scale(block_weights[block % n_blocks], squares)
            for entry in range(start, stop):
                weights[entry] *= scale


@njit(cache=True, nogil=True)
def _count_rows(
    indptr: npt.NDArray[np.int64],
    n_blocks: int,
    buckets: npt.NDArray[np.int32],
    last_row: npt.NDArray[np.int64],
    rows_with: npt.NDArray[np.int64],
) -> None:
    for row in range((indptr.shape[0] - 1) // n_blocks):
        for entry in range(indptr[row * n_blocks], indptr[(row + 1) * n_blocks]):
            bucket = buckets[entry]
            if last_row[bucket] != row:
                last_row[bucket] = row
                rows_with[bucket] += 1
