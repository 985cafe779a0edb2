"""What some right and wrong rows show about a precision: the lower bound of Clopper and Pearson, with shrinkage.

Eight rows of eight do not show a precision of .95: at .85 that happens more than once in four times. The bound
says how low the precision can be without making what was seen a surprise.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

#: How surprising what was seen may be: the bound is one-sided, at a confidence of 1 - DOUBT. This and POOL_ROWS
#: were chosen by cross-validation of calibrate parts (docs/decisions/0014), not on test parts.
DOUBT: Final = 0.25

#: Rows that the pool counts for, at most, beside a category's own.
POOL_ROWS: Final = 200.0


def lower_bound(right: Any, rows: Any, *, doubt: float = DOUBT) -> Numbers:
    """Return the precision at which `right` or more of `rows` are right with a probability of `doubt` only.

    Counts, of any shape, need not be whole. 0 where nothing is right, and where there are no rows.
    """
    from scipy import special  # takes a while to import, and a worker bounds nothing

    some, wins, losses = _counts(right, rows)
    return np.asarray(np.where(some, special.betaincinv(wins, losses + 1.0, doubt), 0.0), np.float64)


def is_shown(right: Any, rows: Any, target: float, *, doubt: float = DOUBT) -> npt.NDArray[np.bool_]:
    """Tell whether `lower_bound` is at least `target`, without computing it."""
    from scipy import special  # as above

    some, wins, losses = _counts(right, rows)
    return np.asarray(some & (special.betainc(wins, losses + 1.0, target) <= doubt), np.bool_)


def _counts(right: Any, rows: Any) -> tuple[npt.NDArray[np.bool_], Numbers, Numbers]:
    right, rows = np.asarray(right, np.float64), np.asarray(rows, np.float64)
    some = right > 0
    return some, np.where(some, right, 1.0), np.where(some, np.maximum(rows - right, 0.0), 0.0)


def pool_share(
    expected_errors: Any, pool_rows: Any, pool_errors: Any, pool_expected_errors: Any
) -> tuple[Numbers, Numbers]:
    """Return what the pool says of a category: as how many rows it counts, and how many of them are right.

    `expected_errors` is the share of wrong rows that the confidence of the category's rows promises. The pool
    tells how such promises were kept: its errors to those its own confidence promised, one added to both, so that
    a small pool says little. It counts for fewer rows than it has, and for fewer than POOL_ROWS.
    """
    pool_rows = np.asarray(pool_rows, np.float64)
    kept = (np.asarray(pool_errors) + 1.0) / (np.asarray(pool_expected_errors) + 1.0)
    counts_for = POOL_ROWS * pool_rows / (POOL_ROWS + pool_rows)
    return counts_for, counts_for * (1.0 - np.minimum(1.0, np.asarray(expected_errors) * kept))
