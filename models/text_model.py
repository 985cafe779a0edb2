"""A linear model over hashed n-grams: gather a row of weights for every n-gram of a product, and add them up.

The order of the float32 sums is fixed, and part of the contract: bias first, then the entries of the row as they
come. Every class has its own sum and rows are independent, so a batch of n gives the very bits of n batches of 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

from features.ngrams import TokenCounts
from models.weighting import Weighting, frozen
from schemas.errors import SetupError

_LANES: Final = 8  # Rows of the table are padded to a multiple of this: whole vector registers, no tail loop.


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TextModel:
    """Weights of the buckets seen in training; a bucket never seen adds nothing to the score.

    Attributes:
        weighting: what an n-gram weighs, as in training.
        buckets: int32 (n_kept), ascending: the buckets that have weights.
        weights: float32 (n_kept, n_classes).
        bias: float32 (n_classes).

    Raises SetupError where shapes or types do not fit together, or a number is not finite.
    """

    weighting: Weighting
    buckets: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    _slot: npt.NDArray[np.int32] = field(init=False, repr=False)
    _table: npt.NDArray[np.float32] = field(init=False, repr=False)
    _bias: npt.NDArray[np.float32] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.weights.dtype != np.float32 or self.bias.dtype != np.float32 or self.buckets.dtype != np.int32:
            raise SetupError("A text model needs float32 weights and bias and int32 buckets.")
        if self.bias.ndim != 1 or self.weights.shape != (len(self.buckets), len(self.bias)):
            raise SetupError(
                f"Weights of shape {self.weights.shape} do not fit {len(self.buckets)} buckets and "
                f"{self.bias.shape} biases."
            )
        if not (np.isfinite(self.weights).all() and np.isfinite(self.bias).all()):
            raise SetupError("A weight or bias of the text model is not finite.")
        outside = len(self.buckets) and (self.buckets[0] < 0 or self.buckets[-1] >= self.weighting.n_buckets)
        if outside or (np.diff(self.buckets) <= 0).any():
            raise SetupError(f"The text model's buckets must ascend and lie in 0..{self.weighting.n_buckets - 1}.")
        # Frequent buckets side by side: most of what a product gathers then shares few memory pages.
        order = np.argsort(self.weighting.idf[self.buckets], kind="stable")
        slot = np.full(self.weighting.n_buckets, -1, np.int32)
        slot[self.buckets[order]] = np.arange(len(order), dtype=np.int32)
        width = -(-self.n_classes // _LANES) * _LANES
        table = np.zeros((len(self.buckets), width), np.float32)
        table[:, : self.n_classes] = self.weights[order]
        bias = np.zeros(width, np.float32)
        bias[: self.n_classes] = self.bias
        for name, array in (("_slot", slot), ("_table", table), ("_bias", bias)):
            object.__setattr__(self, name, frozen(array))
        for name in ("buckets", "weights", "bias"):
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

    def scores(self, tokens: TokenCounts) -> npt.NDArray[np.float32]:
        """Return the linear scores, float32 (n_rows, n_classes). Pure; releases the GIL.

        A row without any known n-gram scores the bias. Raises SetupError if the tokens have another number of
        blocks than the model.
        """
        entry_weights = self.weighting.entry_weights(tokens)
        n_blocks = self.weighting.n_blocks
        padded = np.empty(((len(tokens.indptr) - 1) // n_blocks, len(self._bias)), np.float32)
        row_starts = np.ascontiguousarray(tokens.indptr[::n_blocks])
        _add_up(row_starts, tokens.buckets, entry_weights, self._slot, self._table, self._bias, padded)
        return np.ascontiguousarray(padded[:, : self.n_classes])


@njit(cache=True, nogil=True)
def _add_up(
    row_starts: npt.NDArray[np.int64],
    buckets: npt.NDArray[np.int32],
    entry_weights: npt.NDArray[np.float32],
    slot: npt.NDArray[np.int32],
    table: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
) -> None:
    longest = 0
    for row in range(scores.shape[0]):
        longest = max(longest, row_starts[row + 1] - row_starts[row])
    kept = np.empty(longest + 1, np.int32)
    kept_weights = np.empty(longest + 1, np.float32)
    for row in range(scores.shape[0]):
        # Without a branch: whether a bucket is known is a coin toss that the processor cannot predict.
        n_kept = 0
        for entry in range(row_starts[row], row_starts[row + 1]):
            at = slot[buckets[entry]]
            kept[n_kept] = at
            kept_weights[n_kept] = entry_weights[entry]
            n_kept += 1 if at >= 0 else 0
        sums = scores[row]
        for k in range(bias.shape[0]):
            sums[k] = bias[k]
        # Four rows of the table at a time, to wait for memory once instead of four times; the order of the
        # additions stays that of the entries.
        i = 0
        while i + 3 < n_kept:
            a, b, c, d = table[kept[i]], table[kept[i + 1]], table[kept[i + 2]], table[kept[i + 3]]
            wa, wb, wc, wd = kept_weights[i], kept_weights[i + 1], kept_weights[i + 2], kept_weights[i + 3]
            for k in range(bias.shape[0]):
                sums[k] = (((sums[k] + wa * a[k]) + wb * b[k]) + wc * c[k]) + wd * d[k]
            i += 4
        while i < n_kept:
            a, wa = table[kept[i]], kept_weights[i]
            for k in range(bias.shape[0]):
                sums[k] += wa * a[k]
            i += 1
