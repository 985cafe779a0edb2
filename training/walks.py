"""What could be published of each product: the nodes from its likeliest root down to its most probable leaf.

It is the order in which `models.decisions` looks at nodes, as columns: whoever chooses thresholds, or draws what
they would do, need not decide again for each of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.taxonomy import Taxonomy

#: In `Walks.nodes`, below the last node of a walk.
END = -1

#: In no walk: neither a node nor END.
_NO_NODE: Final = -2

#: Sums of nodes held at the same time: 128 MB. Thousands of categories would need gigabytes for all rows.
_SUMS_AT_ONCE: Final = 1 << 24


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Walks:
    """One walk a row, from the likeliest root always to the likeliest child, and the most probable leaf.

    Attributes:
        nodes: int64 (n_rows, depth of the taxonomy), END below the last node of a walk.
        sums: float64, same shape: the probability of each node, NaN where there is none. Not increasing downwards.
        are_right: bool, same shape: whether the node is the true path or an ancestor of it.
        leaf_nodes: int64 (n_rows), the node of the most probable leaf; with ties, the first.
        leaf_probabilities: float64 (n_rows), its own probability, without what lies below it.
        leaves_right: bool (n_rows), whether it is the true path or an ancestor of it.
    """

    nodes: npt.NDArray[np.int64]
    sums: npt.NDArray[np.float64]
    are_right: npt.NDArray[np.bool_]
    leaf_nodes: npt.NDArray[np.int64]
    leaf_probabilities: npt.NDArray[np.float64]
    leaves_right: npt.NDArray[np.bool_]

    def published_at(self, threshold: float) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Return, bool (n_rows) each, what `decide` publishes with that one threshold, and whether it is right.

        The latter says nothing where nothing is published.
        """
        is_leaf, passes = self.leaf_probabilities >= threshold, self.sums >= threshold
        deepest = passes.shape[1] - 1 - passes[:, ::-1].argmax(axis=1)
        nodes_right = self.are_right[np.arange(len(deepest)), deepest]
        return is_leaf | passes.any(axis=1), np.where(is_leaf, self.leaves_right, nodes_right)


def walk(probabilities: npt.NDArray[np.float64], truth: pa.Array[Any], taxonomy: Taxonomy) -> Walks:
    """Walk down the taxonomy for each row.

    `probabilities` is float64 (n_rows, n_leaves), `truth` holds the true path of each row; it may be one that the
    taxonomy does not know.
    """
    depth = max(len(node) for node in taxonomy.nodes)
    nodes = np.full((len(probabilities), depth), END, np.int64)
    sums = np.full((len(probabilities), depth), np.nan)
    children = _children(taxonomy)
    at_once = max(1, _SUMS_AT_ONCE // len(taxonomy.nodes))
    for start in range(0, len(probabilities), at_once):
        rows = slice(start, start + at_once)
        _descend(taxonomy.node_probabilities(probabilities[rows]), children, nodes[rows], sums[rows])
    best = probabilities.argmax(axis=1)
    leaf_nodes = taxonomy.leaf_node[best]
    true_nodes = _true_nodes(truth, taxonomy, depth)
    leaf_levels = np.array([len(leaf) for leaf in taxonomy.leaves])[best] - 1
    return Walks(
        nodes=nodes,
        sums=sums,
        are_right=nodes == true_nodes,
        leaf_nodes=leaf_nodes,
        leaf_probabilities=probabilities[np.arange(len(probabilities)), best],
        leaves_right=leaf_nodes == true_nodes[np.arange(len(best)), leaf_levels],
    )


def _descend(
    all_sums: npt.NDArray[np.float64],
    children: Mapping[int, npt.NDArray[np.int64]],
    nodes: npt.NDArray[np.int64],
    sums: npt.NDArray[np.float64],
) -> None:
    """Fill `nodes` and `sums` by the sums of all nodes."""
    at = np.full(len(all_sums), END, np.int64)  # above the roots
    for level in range(nodes.shape[1]):
        for parent in np.unique(at):
            below = children.get(int(parent))
            if below is None or (level > 0 and parent == END):
                continue
            rows = np.nonzero(at == parent)[0]
            of_children = all_sums[np.ix_(rows, below)]
            likeliest = of_children.argmax(axis=1)
            nodes[rows, level] = below[likeliest]
            sums[rows, level] = of_children[np.arange(len(rows)), likeliest]
        at = nodes[:, level]


def _children(taxonomy: Taxonomy) -> dict[int, npt.NDArray[np.int64]]:
    """Return the children of each node that has some; those of END are the roots."""
    node_of = {path: node for node, path in enumerate(taxonomy.nodes)}
    children: dict[int, list[int]] = {}
    for node, path in enumerate(taxonomy.nodes):
        children.setdefault(node_of.get(path[:-1], END), []).append(node)
    return {parent: np.array(nodes, np.int64) for parent, nodes in children.items()}


def _true_nodes(truth: pa.Array[Any], taxonomy: Taxonomy, depth: int) -> npt.NDArray[np.int64]:
    """Return the true node of each row on each level, int64 (n_rows, depth); _NO_NODE where there is none."""
    node_of = {path: node for node, path in enumerate(taxonomy.nodes)}
    found = np.full((len(truth), depth), _NO_NODE, np.int64)
    of_path: dict[tuple[str, ...], list[int]] = {}
    for row, labels in enumerate(cast("list[list[str]]", truth.to_pylist())):
        path = tuple(labels)
        if path not in of_path:
            prefixes = [path[: level + 1] for level in range(min(len(path), depth))]
            of_path[path] = [node_of.get(prefix, _NO_NODE) for prefix in prefixes]
        found[row, : len(of_path[path])] = of_path[path]
    return found
