"""The tree of categories: leaves that a model tells apart, and the nodes above them.

A path is a tuple of labels, root first. Leaves are sorted as tuples, so whatever lies at or below a node is a
contiguous range of leaves, and a node comes right before its descendants.

A leaf may be an ancestor of another leaf: categories with few products are trained as their parent. Such a node
has
two probabilities: its own, as a leaf ("this category, nothing finer that we know"), and the sum over its subtree,
which includes its own ("this category or something below it").
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from models.path_table import PathTable
from schemas.errors import SetupError

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """The sorted leaves, and the tree that their prefixes span.

    Attributes:
        leaves: paths of the categories that the model tells apart; given in any order, kept sorted.
        nodes: every prefix of a leaf, once, sorted: node order is preorder.
        leaf_node: int64 (n_leaves), the node that a leaf is.
        node_leaf: int64 (n_nodes), the leaf that a node is, or -1.
        leaf_start, leaf_stop: int64 (n_nodes), the range of leaves at or below a node.
        node_stop: int64 (n_nodes), the node after the last descendant of a node.
        version: digest of the leaves, the same for the same set of paths.

    Raises SetupError if there is no leaf, one is given twice, or a path is empty or holds an empty label.

    >>> taxonomy = Taxonomy((("Case", "Fan"), ("Case",), ("CPU",)))
    >>> taxonomy.leaves
    (('CPU',), ('Case',), ('Case', 'Fan'))
    >>> taxonomy.node_probabilities(np.array([[0.2, 0.3, 0.5]]))
    array([[0.2, 0.8, 0.5]])
    """

    leaves: tuple[Path, ...]
    nodes: tuple[Path, ...] = field(init=False, repr=False, compare=False)
    leaf_node: npt.NDArray[np.int64] = field(init=False, repr=False, compare=False)
    node_leaf: npt.NDArray[np.int64] = field(init=False, repr=False, compare=False)
    leaf_start: npt.NDArray[np.int64] = field(init=False, repr=False, compare=False)
    leaf_stop: npt.NDArray[np.int64] = field(init=False, repr=False, compare=False)
    node_stop: npt.NDArray[np.int64] = field(init=False, repr=False, compare=False)
    version: str = field(init=False, repr=False, compare=False)
    _node_paths: PathTable = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        leaves = tuple(sorted(tuple(path) for path in self.leaves))
        if not leaves:
            raise SetupError("A taxonomy needs at least one category.")
        for path in leaves:
            if not path or not all(path):
                raise SetupError(f"The category path {list(path)} is empty or holds an empty label.")
        if len(set(leaves)) != len(leaves):
            twice = next(path for path, following in pairwise(leaves) if path == following)
            raise SetupError(f"The category {' > '.join(twice)} is given twice.")
        nodes = tuple(sorted({path[:depth] for path in leaves for depth in range(1, len(path) + 1)}))
        leaf_of = {path: i for i, path in enumerate(leaves)}
        node_of = {path: i for i, path in enumerate(nodes)}
        arrays = {
            "leaf_node": np.array([node_of[path] for path in leaves], np.int64),
            "node_leaf": np.array([leaf_of.get(path, -1) for path in nodes], np.int64),
        }
        arrays["leaf_start"], arrays["leaf_stop"] = _subtrees(nodes, leaves)
        _, arrays["node_stop"] = _subtrees(nodes, nodes)
        for name, array in arrays.items():
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        object.__setattr__(self, "_node_paths", PathTable.of(nodes))
        object.__setattr__(self, "leaves", leaves)
        object.__setattr__(self, "nodes", nodes)
        canonical = json.dumps(leaves, ensure_ascii=True, separators=(",", ":"))
        object.__setattr__(self, "version", hashlib.sha256(canonical.encode()).hexdigest()[:12])

    @property
    def n_leaves(self) -> int:
        """Number of classes of the model."""
        return len(self.leaves)

    def index_of(self, path: Path) -> int:
        """Return the class of a leaf's path; KeyError if it is no leaf."""
        try:
            return self.leaves.index(path)
        except ValueError:
            raise KeyError(path) from None

    def node_probabilities(self, leaf_probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Sum the probabilities of the leaves at or below each node.

        (n, n_leaves) float64 in, (n, n_nodes) float64 out. Leaves are added in their order, row by row, so a row's
        sums do not depend on the rows around it.
        """
        sums = np.empty((len(leaf_probabilities), len(self.nodes)), np.float64)
        _sum_ranges(np.ascontiguousarray(leaf_probabilities, np.float64), self.leaf_start, self.leaf_stop, sums)
        return sums

    def paths_of(self, nodes: npt.NDArray[np.int64]) -> pa.Array[Any]:
        """Return the paths of some nodes as an Arrow array of lists of strings."""
        return self._node_paths.take(nodes)


def _subtrees(
    nodes: tuple[Path, ...], paths: tuple[Path, ...]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return start and stop of the range of (sorted) paths at or below each node."""
    first: dict[Path, int] = {}
    last: dict[Path, int] = {}
    for i, path in enumerate(paths):
        for depth in range(1, len(path) + 1):
            first.setdefault(path[:depth], i)
            last[path[:depth]] = i + 1
    return np.array([first[n] for n in nodes], np.int64), np.array([last[n] for n in nodes], np.int64)


@njit(cache=True, nogil=True)
def _sum_ranges(
    values: npt.NDArray[np.float64],
    start: npt.NDArray[np.int64],
    stop: npt.NDArray[np.int64],
    sums: npt.NDArray[np.float64],
) -> None:
    for row in range(values.shape[0]):
        for node in range(start.shape[0]):
            total = 0.0
            for leaf in range(start[node], stop[node]):
                total += values[row, leaf]
            sums[row, node] = total
