"""How sure a decision must be to be published without a person, for each node of the taxonomy.

The promise is made for each category: of the products published as it, a share of `target_precision` is right.
From the deepest level up, each node gets the smallest threshold at which the held-out rows show that, by the bound
of `training.precision_bounds`: its own rows, of those that nothing deeper publishes; or these and the pool of its
like (all leaves, or all nodes above leaves of one depth), which counts for 200 rows at most. So a large category
stands for itself; one of few rows gets what holds for all, and has to be surer for being less known; and one whose
own rows speak against it is not published: its products fall to the node above, or to a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from models.taxonomy import Path, Taxonomy
from models.thresholds import NEVER, Thresholds
from training.precision_bounds import is_shown, pool_share
from training.walks import END, Walks

Counts = npt.NDArray[np.float64]

#: Thresholds tried: hundredths, which people can remember, then closer to certainty. Not below one half, however
#: good the rest is: a decision that is more likely wrong than right is for a person. A catalogue that is easy on
#: the whole would otherwise publish guesses about products that are like none it has.
CANDIDATES: Final = np.array([*(hundredth / 100 for hundredth in range(50, 100)), 0.995, 0.999])

#: Precisions on the way to the wanted one. Thresholds may only rise from one to the next. Without that, a leaf
#: that fails a stricter target could hand its good rows to its parent, which would then publish more than before.
LADDER: Final = (0.5, 0.6, 0.7, *(hundredth / 100 for hundredth in range(80, 100)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ThresholdChoice:
    """Thresholds, and what they did on the rows that they were chosen on.

    Attributes:
        thresholds: of each node.
        rows: int64 (n_nodes), rows whose walk leads through the node and that nothing below it publishes.
        published: int64 (n_nodes), those of them that the node publishes.
        right: int64 (n_nodes), those of `published` whose true path is the node or lies below it.
        coverage: share of all rows that is published.
        precision: share of those that is right; 1 if there are none.
        not_published: the leaves that never are, and the rows that would have been, most of them first.
    """

    thresholds: Thresholds
    rows: npt.NDArray[np.int64]
    published: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    coverage: float
    precision: float
    not_published: tuple[tuple[Path, int], ...]

    def to_json(self, taxonomy: Taxonomy) -> list[dict[str, object]]:
        """Return one row a node, in the order of the taxonomy; the threshold is None where there is none."""
        columns = (self.thresholds.nodes, self.rows, self.published, self.right)
        return [
            {
                "path": list(path),
                "threshold": threshold if np.isfinite(threshold) else None,
                "rows": rows,
                "published": published,
                "right": right,
            }
            for path, threshold, rows, published, right in zip(
                taxonomy.nodes, *(column.tolist() for column in columns), strict=True
            )
        ]


def choose_thresholds(walks: Walks, taxonomy: Taxonomy, *, target_precision: float) -> ThresholdChoice:
    """Choose on held-out rows: the walks of calibrated probabilities.

    Deterministic. On the same rows, a target further up the LADDER publishes nothing that a lower one does not.
    """
    rungs = [rung for rung in LADDER if rung < target_precision]
    at = np.zeros(len(taxonomy.nodes) + 1, np.int64)  # positions in CANDIDATES; the last is the pooled one's
    for target in (*rungs, target_precision):
        at = _at_target(walks, taxonomy, target, at_least=at)
    values = np.append(CANDIDATES, NEVER)[at]
    return _choice(walks, taxonomy, Thresholds(nodes=values[:-1], pooled=float(values[-1])))


class _Evidence(NamedTuple):
    """Of each node (row) and candidate (column): rows as confident, those that are right, and that should be."""

    rows: Counts
    right: Counts
    expected: Counts

    def of(self, nodes: npt.NDArray[np.int64]) -> _Evidence:
        return _Evidence(*(counts[nodes] for counts in self))


def _at_target(
    walks: Walks, taxonomy: Taxonomy, target: float, *, at_least: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    n_nodes = len(taxonomy.nodes)
    levels = np.array([len(path) for path in taxonomy.nodes]) - 1
    is_lowest = taxonomy.node_stop == np.arange(n_nodes) + 1
    everything = np.ones(len(walks.nodes), np.bool_)
    leaves = [_evidence(walks, level, everything, n_nodes) for level in range(walks.nodes.shape[1])]
    leaf_pool = _Evidence(
        *(np.where(is_lowest[:, None], sum(counts), 0.0) for counts in zip(*leaves, strict=True))
    )
    at = at_least.copy()
    nothing = _Evidence(*(np.zeros((1, len(CANDIDATES))) for _ in _Evidence._fields))
    at[-1:] = _smallest(nothing, _summed(leaf_pool), target, at_least[-1:])
    is_open = everything.copy()
    for level in reversed(range(walks.nodes.shape[1])):
        evidence = _evidence(walks, level, is_open, n_nodes)
        for kind in (True, False):
            nodes = np.nonzero((levels == level) & (is_lowest == kind))[0]
            pool = leaf_pool if kind else evidence.of(nodes)
            at[nodes] = _smallest(evidence.of(nodes), _summed(pool), target, at_least[nodes])
        is_open &= ~_passes(walks, level, np.append(CANDIDATES, NEVER)[at[:-1]])
    return at


def _evidence(walks: Walks, level: int, is_open: npt.NDArray[np.bool_], n_nodes: int) -> _Evidence:
    rows = np.nonzero(is_open & (walks.nodes[:, level] != END))[0]
    nodes, sums = walks.nodes[rows, level], walks.sums[rows, level]
    n_columns = len(CANDIDATES) + 1
    cells = nodes * n_columns + np.searchsorted(CANDIDATES, sums, side="right")

    def reached(weights: npt.NDArray[Any]) -> Counts:
        counts = np.bincount(cells, weights, minlength=n_nodes * n_columns).reshape(n_nodes, n_columns)
        return np.asarray(counts[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:], np.float64)

    return _Evidence(
        rows=reached(np.ones(len(rows))), right=reached(walks.are_right[rows, level]), expected=reached(sums)
    )


def _summed(pool: _Evidence) -> _Evidence:
    return _Evidence(*(counts.sum(axis=0) for counts in pool))


def _smallest(
    own: _Evidence, pool: _Evidence, target: float, at_least: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the first candidate from `at_least` that is shown, or their number. The pool includes `own`."""
    # Where there are no rows, half of what the threshold leaves open is as good a guess as any.
    share = np.divide(
        own.rows - own.expected,
        own.rows,
        out=np.broadcast_to((1 - CANDIDATES) / 2, own.rows.shape).copy(),
        where=own.rows > 0,
    )
    others = _Evidence(*(whole - part for whole, part in zip(pool, own, strict=True)))
    added, added_right = pool_share(share, others.rows, others.rows - others.right, others.rows - others.expected)
    shown = is_shown(own.right, own.rows, target) | is_shown(own.right + added_right, own.rows + added, target)
    shown &= np.arange(len(CANDIDATES)) >= at_least[:, None]
    first: npt.NDArray[np.int64] = np.where(shown.any(axis=1), shown.argmax(axis=1), len(CANDIDATES))
    return first


def _passes(walks: Walks, level: int, thresholds: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    nodes = walks.nodes[:, level]
    passes: npt.NDArray[np.bool_] = (nodes != END) & (walks.sums[:, level] >= thresholds[nodes])
    return passes


def _choice(walks: Walks, taxonomy: Taxonomy, thresholds: Thresholds) -> ThresholdChoice:
    n_nodes = len(taxonomy.nodes)
    is_open = np.ones(len(walks.nodes), np.bool_)
    rows, published, right = (np.zeros(n_nodes, np.int64) for _ in range(3))
    for level in reversed(range(walks.nodes.shape[1])):
        nodes = walks.nodes[:, level]
        passes = is_open & _passes(walks, level, thresholds.nodes)
        rows += np.bincount(nodes[is_open & (nodes != END)], minlength=n_nodes)
        published += np.bincount(nodes[passes], minlength=n_nodes)
        right += np.bincount(nodes[passes & walks.are_right[:, level]], minlength=n_nodes)
        is_open &= ~passes
    failed = [node for node in taxonomy.leaf_node.tolist() if thresholds.nodes[node] == NEVER]
    n_published = int(published.sum())
    return ThresholdChoice(
        thresholds=thresholds,
        rows=rows,
        published=published,
        right=right,
        coverage=n_published / max(len(is_open), 1),
        precision=int(right.sum()) / n_published if n_published else 1.0,
        not_published=tuple(
            (taxonomy.nodes[node], int(rows[node])) for node in sorted(failed, key=lambda node: -rows[node])
        ),
    )
