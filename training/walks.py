"""What could be published of each product: the nodes from its likeliest root down to its most probable leaf.

It is the order in which `models.decisions` looks at nodes, as columns: whoever chooses thresholds, or draws what
they would do, need not decide again for each of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.taxonomy import Taxonomy

#: In `Walks.nodes`, below the last node of a walk.
END = -1


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


def walk(probabilities: npt.NDArray[np.float64], truth: pa.Array[Any], taxonomy: Taxonomy) -> Walks:
    """Walk down the taxonomy for each row.

    `probabilities` is float64 (n_rows, n_leaves), `truth` holds the true path of each row; it may be one that the
    taxonomy does not know.
    """
    n_rows = len(probabilities)
    all_sums = taxonomy.node_probabilities(probabilities)
    children = _children(taxonomy)
    depth = max(len(node) for node in taxonomy.nodes)
    nodes = np.full((n_rows, depth), END, np.int64)
    sums = np.full((n_rows, depth), np.nan)
    at = np.full(n_rows, END, np.int64)  # above the roots
    for level in range(depth):
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
    best = probabilities.argmax(axis=1)
    leaf_nodes = taxonomy.leaf_node[best]
    paths, of_row = _distinct(truth)
    is_above = np.array([[path[: len(node)] == node for path in paths] for node in taxonomy.nodes], np.bool_)
    is_above = is_above.reshape(len(taxonomy.nodes), len(paths))
    return Walks(
        nodes=nodes,
        sums=sums,
        are_right=is_above[nodes, of_row[:, None]] & (nodes != END),
        leaf_nodes=leaf_nodes,
        leaf_probabilities=probabilities[np.arange(n_rows), best],
        leaves_right=is_above[leaf_nodes, of_row],
    )


def _children(taxonomy: Taxonomy) -> dict[int, npt.NDArray[np.int64]]:
    """Return the children of each node that has some; those of END are the roots."""
    node_of = {path: node for node, path in enumerate(taxonomy.nodes)}
    children: dict[int, list[int]] = {}
    for node, path in enumerate(taxonomy.nodes):
        children.setdefault(node_of.get(path[:-1], END), []).append(node)
    return {parent: np.array(nodes, np.int64) for parent, nodes in children.items()}


def _distinct(truth: pa.Array[Any]) -> tuple[list[tuple[str, ...]], npt.NDArray[np.int64]]:
    """Return the distinct paths, and which of them each row has."""
    position: dict[tuple[str, ...], int] = {}
    paths = cast("list[list[str]]", truth.to_pylist())
    of_row = [position.setdefault(tuple(path), len(position)) for path in paths]
    return list(position), np.array(of_row, np.int64)
