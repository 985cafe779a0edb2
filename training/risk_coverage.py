"""What a threshold buys: the share of products that is published, and how often what is published is wrong.

A curve has one point for each confidence that occurs, strictest first. `leaf` publishes the most probable leaf or
nothing; `any_level` backs off, as `models.decisions` does with that one threshold for all nodes. A model with
thresholds of its own for each node is a point beside the curves, not on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.taxonomy import Taxonomy
from training.walks import Walks, walk


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RiskCurve:
    """Three float64 arrays of one length, one entry a point.

    Attributes:
        threshold: least confidence that is published; strictly decreasing.
        coverage: share of all rows that is published at it, above 0; never decreasing.
        risk: share of the published rows that is wrong, neither the true path nor an ancestor of it.
    """

    threshold: npt.NDArray[np.float64]
    coverage: npt.NDArray[np.float64]
    risk: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RiskCoverage:
    """Both curves of the same rows; at every threshold `any_level` covers at least what `leaf` does."""

    leaf: RiskCurve
    any_level: RiskCurve


def risk_coverage(
    probabilities: npt.NDArray[np.float64], truth: pa.Array[Any], taxonomy: Taxonomy
) -> RiskCoverage:
    """Return the curves of calibrated `probabilities`, float64 (n_rows, n_leaves), and the true path of each row.

    Exact: at each threshold that is a point, and between two of them, counts are those of `decide`. Without rows,
    curves without points. Pure.
    """
    walks = walk(probabilities, truth, taxonomy)
    return RiskCoverage(
        leaf=_curve(
            walks.leaf_probabilities,
            np.ones(len(walks.leaf_nodes), np.int64),
            walks.leaves_right.astype(np.int64),
            n_rows=len(walks.leaf_nodes),
        ),
        any_level=_any_level(walks),
    )


def _any_level(walks: Walks) -> RiskCurve:
    """Follow each row down its walk while the threshold falls.

    What is published changes to a node when the threshold reaches its sum, and to the most probable leaf, for
    good, when it reaches that leaf's own probability.
    """
    is_before_leaf = walks.sums > walks.leaf_probabilities[:, None]  # False where a walk has ended: NaN
    n_rows, depth = walks.sums.shape
    before = np.column_stack([np.zeros(n_rows, np.int64), walks.are_right[:, : depth - 1].astype(np.int64)])
    is_right = walks.are_right.astype(np.int64)
    steps = (is_right - before)[is_before_leaf]
    is_first = np.zeros((n_rows, depth), np.int64)
    is_first[:, 0] = 1
    n_before = is_before_leaf.sum(axis=1)
    last = np.maximum(n_before - 1, 0)
    right_above = np.where(n_before > 0, is_right[np.arange(n_rows), last], 0)
    return _curve(
        np.concatenate([walks.sums[is_before_leaf], walks.leaf_probabilities]),
        np.concatenate([is_first[is_before_leaf], (n_before == 0).astype(np.int64)]),
        np.concatenate([steps, walks.leaves_right - right_above]),
        n_rows=n_rows,
    )


def _curve(
    confidences: npt.NDArray[np.float64],
    published: npt.NDArray[np.int64],
    right: npt.NDArray[np.int64],
    *,
    n_rows: int,
) -> RiskCurve:
    """Add up changes in the numbers of published and of right rows, from the highest confidence down."""
    order = np.argsort(-confidences, kind="stable")
    confidences = confidences[order]
    is_last = np.append(np.diff(confidences) != 0, True)[: len(confidences)]  # of equal ones
    n_published = published[order].cumsum()[is_last]
    n_right = right[order].cumsum()[is_last]
    return RiskCurve(
        threshold=confidences[is_last],
        coverage=n_published / max(n_rows, 1),
        risk=(n_published - n_right) / n_published,
    )
