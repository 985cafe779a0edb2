"""The one confidence above which a decision is published without a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.decisions import decide
from models.taxonomy import Taxonomy
from training.true_paths import is_at_or_above

_pc: Final[Any] = pc  # its stubs refuse a number or text beside an array

#: Thresholds tried, in this order: hundredths, which people can remember, then closer to certainty. Not below one
#: half, however good the rest is: a decision that is more likely wrong than right is for a person. A catalogue
#: that is easy on the whole would otherwise publish guesses about products that are like none it has.
CANDIDATES: Final = (*(hundredth / 100 for hundredth in range(50, 100)), 0.995, 0.999)

#: Fewer published rows than this (or than half, of few rows) say nothing about precision: of labels that are wrong
#: at random, one row that happens to be right would otherwise settle it.
_ROWS_NEEDED: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A threshold, and what it did on the rows that it was chosen on.

    Attributes:
        value: least confidence that is published; 1 if no candidate reached the wanted precision.
        coverage: share of the rows that is published, with a leaf or an ancestor.
        precision: share of those whose published path is the true path or an ancestor of it; 1 if there are none.
        is_reached: whether the wanted precision was.
    """

    value: float
    coverage: float
    precision: float
    is_reached: bool


def choose_threshold(
    probabilities: npt.NDArray[np.float64], truth: pa.Array[Any], taxonomy: Taxonomy, *, target_precision: float
) -> Threshold:
    """Return the smallest threshold, from one half up, at which published decisions are right as often as wanted.

    `probabilities` is float64 (n_rows, n_leaves), calibrated; `truth` holds the true path of each row. Smallest
    means
    first: precision need not grow with the threshold, and nothing is gained by looking further. A threshold that
    leaves too few rows to tell is none.
    """
    ids = pa.array([""] * len(truth))
    for value in CANDIDATES:
        decisions = decide(ids, probabilities, taxonomy, value)
        published = _pc.not_equal(decisions["decision"], "review").to_numpy(zero_copy_only=False)
        if published.sum() < min(_ROWS_NEEDED, len(truth) / 2):
            break
        precision = float(is_at_or_above(decisions["category_path"], truth)[published].mean())
        if precision >= target_precision:
            return Threshold(value=value, coverage=float(published.mean()), precision=precision, is_reached=True)
    return Threshold(value=1.0, coverage=0.0, precision=1.0, is_reached=False)
