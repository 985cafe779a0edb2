"""A linear model over hashed n-grams: gather a row of weights for every n-gram of a product, and add them up.

The order of the float32 sums is fixed, and part of the contract: bias first, then the entries of the row as they
come. Every class has its own sum and rows are independent, so a batch of n gives the very bits of n batches of 1.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

from features.ngrams import TokenCounts
from models.row_sums import LANES, add_rows_of_16, add_rows_of_32, fetch_line
from models.weighting import Weighting, block_scale, frozen, raw_weight
from schemas.errors import SetupError

_CACHE_LINE_BYTES: Final = 64

#: So much of a row is asked for ahead; the processor goes on by itself, and more would drive other rows out of its
#: first cache. At 300 classes 3.4 us a row, 4.3 if all is asked for.
_FETCHED_COLUMNS: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TextModel:
    """Weights of the buckets seen in training; a bucket never seen adds nothing to the score.

    Attributes:
        weighting: what an n-gram weighs, as in training.
        buckets: int32 (n_kept), ascending: the buckets that have weights.
        weights: float32 (n_kept, n_classes); not kept as they are given, `kept_weights` returns them.
        bias: float32 (n_classes).

    Raises SetupError where shapes or types do not fit together, or a number is not finite.
    """

    weighting: Weighting
    buckets: npt.NDArray[np.int32]
    weights: InitVar[npt.NDArray[np.float32]]
    bias: npt.NDArray[np.float32]
    _known: npt.NDArray[np.int64] = field(init=False, repr=False)
    _table: npt.NDArray[np.float32] = field(init=False, repr=False)
    _bias: npt.NDArray[np.float32] = field(init=False, repr=False)

    def __post_init__(self, weights: npt.NDArray[np.float32]) -> None:
        if weights.dtype != np.float32 or self.bias.dtype != np.float32 or self.buckets.dtype != np.int32:
            raise SetupError("A text model needs float32 weights and bias and int32 buckets.")
        if self.bias.ndim != 1 or weights.shape != (len(self.buckets), len(self.bias)):
            raise SetupError(
                f"Weights of shape {weights.shape} do not fit {len(self.buckets)} buckets and "
                f"{self.bias.shape} biases."
            )
        if not (np.isfinite(weights).all() and np.isfinite(self.bias).all()):
            raise SetupError("A weight or bias of the text model is not finite.")
        outside = len(self.buckets) and (self.buckets[0] < 0 or self.buckets[-1] >= self.weighting.n_buckets)
        if outside or (np.diff(self.buckets) <= 0).any():
            raise SetupError(f"The text model's buckets must ascend and lie in 0..{self.weighting.n_buckets - 1}.")
        # Frequent buckets side by side: most of what a product gathers then shares few memory pages.
        order = np.argsort(self.weighting.idf[self.buckets], kind="stable")
        slot = np.full(self.weighting.n_buckets, -1, np.int64)
        slot[self.buckets[order]] = np.arange(len(order))
        # Where a bucket's weights are, and its idf, in one number: one wait for memory instead of two.
        known = (slot << 32) | self.weighting.idf.view(np.uint32).astype(np.int64)
        width = -(-self.n_classes // LANES) * LANES
        table = _aligned_zeros(len(self.buckets), width)
        table[:, : self.n_classes] = weights[order]
        bias = np.zeros(width, np.float32)
        bias[: self.n_classes] = self.bias
        for name, array in (("_known", known), ("_table", table), ("_bias", bias)):
            object.__setattr__(self, name, frozen(array))
        for name in ("buckets", "bias"):
            object.__setattr__(self, name, frozen(getattr(self, name)))

    @classmethod
    def from_dense(
        cls, *, weighting: Weighting, weights: npt.NDArray[np.float32], bias: npt.NDArray[np.float32]
    ) -> TextModel:
        """Keep the rows of (n_buckets, n_classes) weights that are not all zero; the scores stay the same."""
        if len(weights) != weighting.n_buckets:
            raise SetupError(f"{len(weights)} rows of weights do not fit {weighting.n_buckets} buckets.")
        kept = np.flatnonzero(weights.any(axis=1)).astype(np.int32)
        return cls(
            weighting=weighting,
            buckets=kept,
            weights=np.ascontiguousarray(weights[kept], np.float32),
            bias=np.asarray(bias, np.float32),
        )

    @property
    def n_classes(self) -> int:
        """Number of scores a row."""
        return len(self.bias)

    def kept_weights(self) -> npt.NDArray[np.float32]:
        """Return the weights as they were given, float32 (n_kept, n_classes): a copy, made of those that score."""
        weights: npt.NDArray[np.float32] = self._table[self._known[self.buckets] >> 32, : self.n_classes]
        return weights

    def scores(self, tokens: TokenCounts) -> npt.NDArray[np.float32]:
        """Return the linear scores, float32 (n_rows, n_classes), not contiguous. Pure; releases the GIL.

        A row without any known n-gram scores the bias. Raises SetupError if the tokens have another number of
        blocks than the model.
        """
        self.weighting.check_blocks(tokens)
        n_rows = (len(tokens.indptr) - 1) // self.weighting.n_blocks
        padded = np.empty((n_rows, len(self._bias)), np.float32)
        _add_up(
            tokens.indptr,
            tokens.buckets,
            tokens.counts,
            self._known,
            self.weighting.block_weights,
            self._table,
            self._bias,
            padded,
        )
        return padded[:, : self.n_classes]


def _aligned_zeros(n_rows: int, width: int) -> npt.NDArray[np.float32]:
    """Return float32 (n_rows, width) that starts with a cache line: no row then lies in one more than it needs."""
    n_bytes = 4 * n_rows * width
    room = np.zeros(n_bytes + _CACHE_LINE_BYTES, np.uint8)
    start = -room.ctypes.data % _CACHE_LINE_BYTES
    return room[start : start + n_bytes].view(np.float32).reshape(n_rows, width)


@njit(cache=True, nogil=True)
def _add_up(
    indptr: npt.NDArray[np.int64],
    buckets: npt.NDArray[np.int32],
    counts: npt.NDArray[np.float32],
    known: npt.NDArray[np.int64],
    block_weights: npt.NDArray[np.float32],
    table: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
) -> None:
    n_blocks = block_weights.shape[0]
    width = bias.shape[0]
    flat = table.reshape(-1)
    fetched = min(width, _FETCHED_COLUMNS)
    longest = 0
    for row in range(scores.shape[0]):
        longest = max(longest, indptr[(row + 1) * n_blocks] - indptr[row * n_blocks])
    kept = np.empty(longest + 1, np.int32)
    weights = np.empty(longest + 1, np.float32)
    for row in range(scores.shape[0]):
        n_kept = 0
        for block in range(n_blocks):
            first = n_kept
            squares = 0.0
            for entry in range(indptr[row * n_blocks + block], indptr[row * n_blocks + block + 1]):
                slot_and_idf = known[buckets[entry]]
                weight = raw_weight(np.uint32(slot_and_idf & 0xFFFFFFFF).view(np.float32), counts[entry])
                squares += np.float64(weight) * np.float64(weight)
                slot = slot_and_idf >> 32
                # The row's memory is asked for now and read when all entries of the product are known.
                for column in range(0, fetched, LANES):
                    fetch_line(flat, max(slot, 0) * width + column)
                # Without a branch: whether a bucket is known is a coin toss that the processor cannot predict.
                kept[n_kept] = slot
                weights[n_kept] = weight
                n_kept += 1 if slot >= 0 else 0
            if squares > 0:
                scale = block_scale(block_weights[block], squares)
                for i in range(first, n_kept):
                    weights[i] *= scale
        column = 0
        while column + 2 * LANES <= width:
            add_rows_of_32(table, column, kept, weights, n_kept, bias, scores, row)
            column += 2 * LANES
        if column < width:
            add_rows_of_16(table, column, kept, weights, n_kept, bias, scores, row)
