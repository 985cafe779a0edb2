"""How careful to be about brands not seen: fitted by holding brands out of the products that are trained on.

Every brand is held out once, with a third of all others, and its products are scored by a model that has never
seen one of them: the brands of tomorrow, as far as they can be had today. No product of the test part is used.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.identities import ABSENT
from models.calibration import Calibration, fit_temperature
from models.caution import Caution
from models.taxonomy import Taxonomy
from training.splits import assign_folds
from training.thresholds import CANDIDATES
from training.walks import walk

#: Each holds a third of the brands out, and costs one more fit.
N_FOLDS: Final = 3

#: Fewer brands than this say nothing about others.
_BRANDS_NEEDED: Final = 20

#: Published products of fewer brands than this say nothing about others: two brands that are right by chance would
#: look like no error at all.
_PUBLISHED_BRANDS_NEEDED: Final = 12

#: Standard errors between what was measured and what is promised: one-sided, 95 %. Products of one brand are right
#: or wrong together, so the error is that of a mean over brands.
_STANDARD_ERRORS: Final = 1.645

Scores = npt.NDArray[np.float64]


def brand_folds(brands: npt.NDArray[np.int64], *, seed: int) -> npt.NDArray[np.int8] | None:
    """Return a fold for each row, one fold a brand, and -1 for rows without brand; None if the brands are too few.

    `brands` is the first column of `features.identities`.
    """
    named = brands != ABSENT
    folds = assign_folds(pa.array([f"brand {brand}" for brand in brands.tolist()]), N_FOLDS, seed=seed)
    folds = np.where(named, folds, -1).astype(np.int8)
    if len(np.unique(brands[named])) < _BRANDS_NEEDED or len(np.unique(folds[named])) < N_FOLDS:
        return None
    return folds


def fit_caution(
    held_out: Scores,
    targets: npt.NDArray[np.int32],
    truth: pa.Array[Any],
    brands: npt.NDArray[np.int64],
    taxonomy: Taxonomy,
    *,
    target_precision: float,
    least: float,
) -> Caution:
    """Fit temperature and threshold on products scored by models that had not seen their brand.

    `held_out` is float64 (n_rows, n_leaves), `truth` holds the true paths. The threshold is the first candidate,
    from `least` up, at which published decisions are right as often as wanted even if the brands to come are
    somewhat harder than these; 1 if none is.
    """
    temperature = fit_temperature(held_out, targets.astype(np.int64)).temperature
    probabilities = Calibration(temperature=temperature).probabilities(held_out)
    walks = walk(probabilities, truth, taxonomy)
    _, groups = np.unique(brands, return_inverse=True)
    for threshold in CANDIDATES[least <= CANDIDATES].tolist():
        is_published, is_true = walks.published_at(threshold)
        if cautious_precision(is_true[is_published], groups[is_published]) >= target_precision:
            return Caution(temperature=temperature, threshold=threshold)
    return Caution(temperature=temperature, threshold=1.0)


def cautious_precision(is_true: npt.NDArray[np.bool_], groups: npt.NDArray[np.int64]) -> float:
    """Return the share of true rows less what it may be off by, as rows of one group go together.

    0 where there are rows of too few groups to tell.

    >>> all_true = np.ones(24, np.bool_)
    >>> cautious_precision(all_true, np.arange(24) // 2)
    1.0
    >>> cautious_precision(all_true, np.arange(24) // 12)
    0.0
    """
    if len(np.unique(groups)) < _PUBLISHED_BRANDS_NEEDED:
        return 0.0
    share = float(is_true.mean())
    by_group = np.bincount(groups, weights=is_true - share)
    return share - _STANDARD_ERRORS * float(np.sqrt((by_group**2).sum())) / len(is_true)
