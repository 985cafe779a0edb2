"""LightGBM's trees, compiled to bit vectors."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from models.bit_vector_kernels import KIND_NAN_LEFT, KIND_NAN_RIGHT, KIND_PLAIN, KIND_ZERO_LEFT, KIND_ZERO_RIGHT
from models.bit_vectors import MOST_LEAVES, MOST_TABLE_BYTES, BitVectors
from models.tree_text import (
    CATEGORICAL,
    DEFAULT_LEFT,
    MISSING_NAN,
    MISSING_NONE,
    MISSING_SHIFT,
    Tree,
    TreeHeader,
)
from schemas.errors import SetupError

_MOST_BINS: Final = 2**16
_MOST_CATEGORIES: Final = 2**16 - 1


class UncompilableTreesError(SetupError):
    """Trees that are well, but that bit vectors cannot hold: LightGBM itself has to score them."""


class _Test(NamedTuple):
    """What a node asks: (feature, kind) and a threshold, or a feature and a set."""

    feature: int
    kind: int
    threshold: float
    members: npt.NDArray[np.int64] | None
    mask: int


def compile_trees(header: TreeHeader, trees: list[Tree]) -> BitVectors:
    """Return the trees as bit vectors.

    Raises UncompilableTreesError, one clause that says why, for trees with linear leaves, of more than 64 leaves,
    of averaged scores, or with more thresholds or categories than 16 bits count.
    """
    _refuse(header, trees)
    by_class = [trees[i] for k in range(header.n_classes) for i in range(k, len(trees), header.n_classes)]
    most_leaves = max((len(tree.leaf_values) for tree in trees), default=1)
    bits = 16 if most_leaves <= 16 else 32 if most_leaves <= 32 else MOST_LEAVES
    mask_kind = np.dtype(f"u{bits // 8}")
    tests: list[list[_Test]] = []
    leaves: list[npt.NDArray[np.float64]] = []
    for tree in by_class:
        order, masks = _leaves_and_masks(tree, bits)
        leaves.append(tree.leaf_values[order])
        tests.append([_test(tree, node, masks[node]) for node in range(len(tree.features))])
    return BitVectors(
        n_classes=header.n_classes,
        n_features=header.n_features,
        leaf_starts=_starts([len(values) for values in leaves]),
        leaves=np.concatenate(leaves) if leaves else np.zeros(0),
        **_numerical(tests, mask_kind),
        **_categorical(tests, mask_kind),
    )


def _refuse(header: TreeHeader, trees: list[Tree]) -> None:
    if header.is_averaged:
        raise UncompilableTreesError("their scores are averaged, not added up")
    if any(tree.is_linear for tree in trees):
        raise UncompilableTreesError("their leaves are linear functions")
    most_leaves = max((len(tree.leaf_values) for tree in trees), default=1)
    if most_leaves > MOST_LEAVES:
        raise UncompilableTreesError(f"a tree has {most_leaves} leaves; bit vectors hold {MOST_LEAVES}")
    for tree in trees:
        if len(tree.features) and not (tree.features.min() >= 0 and tree.features.max() < header.n_features):
            raise SetupError("The trees are damaged: a node asks for a feature that is not there.")
        if np.isnan(tree.thresholds).any():
            raise UncompilableTreesError("a threshold is not a number")


def _leaves_and_masks(tree: Tree, bits: int) -> tuple[npt.NDArray[np.int64], list[int]]:
    """Return the leaves from left to right, and for each node the mask without the leaves left of it."""
    n_nodes = len(tree.features)
    if not n_nodes:
        return np.zeros(1, np.int64), []
    order: list[int] = []
    first = [0] * n_nodes
    masks = [0] * n_nodes
    full = (1 << bits) - 1
    # A node comes up twice: before its left part, and between its two parts. Not recursive: a tree may be a list.
    waiting: list[tuple[int, bool]] = [(0, False)]
    while waiting:
        node, left_is_done = waiting.pop()
        if node < 0:
            order.append(~node)
        elif left_is_done:
            masks[node] = full & ~((1 << len(order)) - (1 << first[node]))
            waiting.append((int(tree.right[node]), False))
        else:
            first[node] = len(order)
            waiting += [(node, True), (int(tree.left[node]), False)]
    return np.array(order, np.int64), masks


def _test(tree: Tree, node: int, mask: int) -> _Test:
    decision = int(tree.decisions[node])
    feature = int(tree.features[node])
    threshold = float(tree.thresholds[node])
    if decision & CATEGORICAL:
        return _Test(feature, KIND_PLAIN, 0.0, tree.sets[int(threshold)], mask)
    missing = decision >> MISSING_SHIFT & 3
    goes_left = bool(decision & DEFAULT_LEFT)
    if missing == MISSING_NONE:
        kind = KIND_PLAIN
    elif missing == MISSING_NAN:
        kind = KIND_NAN_LEFT if goes_left else KIND_NAN_RIGHT
    else:
        kind = KIND_ZERO_LEFT if goes_left else KIND_ZERO_RIGHT
    return _Test(feature, kind, threshold, None, mask)


def _numerical(trees: list[list[_Test]], mask_kind: np.dtype[Any]) -> dict[str, npt.NDArray[Any]]:
    kept = [[test for test in tests if test.members is None] for tests in trees]
    tests = [test for tree in kept for test in tree]
    features = sorted({test.feature for test in tests})
    thresholds = {f: np.unique([test.threshold for test in tests if test.feature == f]) for f in features}
    most_bins = max((len(values) for values in thresholds.values()), default=0) + 1
    if most_bins > _MOST_BINS:
        raise UncompilableTreesError(f"a feature has {most_bins - 1} thresholds")
    starts = dict(zip(features, _starts([len(thresholds[f]) for f in features]).tolist(), strict=False))
    columns = sorted({(test.feature, test.kind) for test in tests})
    column_of = {column: i for i, column in enumerate(columns)}
    at = {f: {value: i for i, value in enumerate(thresholds[f].tolist())} for f in features}
    return {
        "thresholds": np.concatenate([np.zeros(0), *(thresholds[f] for f in features)]),
        "column_features": np.array([feature for feature, _ in columns], np.int32),
        "column_kinds": np.array([kind for _, kind in columns], np.uint8),
        "column_bounds": np.array(
            [(starts[f], starts[f] + len(thresholds[f])) for f, _ in columns], np.int64
        ).reshape(-1, 2),
        "test_starts": _starts([len(tree) for tree in kept]),
        "test_columns": np.array([column_of[test.feature, test.kind] for test in tests], np.int32),
        "test_bins": np.array(
            [at[test.feature][test.threshold] for test in tests], np.uint8 if most_bins <= 2**8 else np.uint16
        ),
        "test_masks": np.array([test.mask for test in tests], mask_kind),
    }


def _categorical(trees: list[list[_Test]], mask_kind: np.dtype[Any]) -> dict[str, npt.NDArray[Any]]:
    limits: dict[int, int] = {}
    for tests in trees:
        for test in tests:
            if test.members is not None:
                end = int(test.members[-1]) + 1 if len(test.members) else 0
                limits[test.feature] = max(limits.get(test.feature, 0), end)
    if limits and max(limits.values()) > _MOST_CATEGORIES:
        raise UncompilableTreesError(f"they tell {max(limits.values())} categories apart")
    features = sorted(limits)
    n_tables: list[int] = []
    table_columns: list[int] = []
    sets: list[tuple[int, npt.NDArray[np.int64], int]] = []
    for tests in trees:
        asked = [(test.feature, test.members, test.mask) for test in tests if test.members is not None]
        columns = sorted({features.index(feature) for feature, _, _ in asked})
        for column in columns:
            own = [(members, mask) for feature, members, mask in asked if features[column] == feature]
            sets += [(len(table_columns), members, mask) for members, mask in own]
            table_columns.append(column)
        n_tables.append(len(columns))
    n_bytes = sum(limits[features[column]] + 1 for column in table_columns) * mask_kind.itemsize
    if n_bytes > MOST_TABLE_BYTES:
        raise UncompilableTreesError(f"their sets of categories would take {n_bytes / 2**20:.0f} MB")
    return {
        "category_features": np.array(features, np.int32),
        "category_limits": np.array([limits[feature] for feature in features], np.int32),
        "tree_tables": _starts(n_tables),
        "table_columns": np.array(table_columns, np.int32),
        "set_tables": np.array([table for table, _, _ in sets], np.int64),
        "set_starts": _starts([len(members) for _, members, _ in sets]),
        "set_members": np.concatenate([np.zeros(0, np.int64), *(m for _, m, _ in sets)]).astype(np.uint16),
        "set_masks": np.array([mask for _, _, mask in sets], mask_kind),
    }


def _starts(lengths: list[int]) -> npt.NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(np.array(lengths, np.int64))])
