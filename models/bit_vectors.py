"""Trees as bit vectors (QuickScorer): tests over blocks of rows instead of a walk for every row and tree.

The scores are those of LightGBM bit for bit: the same comparisons of doubles, and the same leaf values added in
the same order. What that order is, `models.trees` says. The loops are in `models.bit_vector_kernels`, and
`models.bit_vector_compiler` makes these arrays of LightGBM's text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from models.bit_vector_kernels import (
    KIND_ZERO_RIGHT,
    fill_bins,
    fill_categories,
    fill_tables,
    score_blocks,
    score_rows,
)
from models.weighting import frozen
from schemas.errors import SetupError

MOST_LEAVES: Final = 64
"""A row's leaves are the bits of one number."""

MOST_TABLE_BYTES: Final = 128 * 2**20
"""What categorical tests may take in memory."""

_FEW_ROWS: Final = 2
"""Up to so many rows are scored one by one; a block costs as much as three rows, however few it has."""

_KINDS: Final = {
    "thresholds": "f8",
    "column_features": "i4",
    "column_kinds": "u1",
    "column_bounds": "i8",
    "test_starts": "i8",
    "test_columns": "i4",
    "test_bins": ("u1", "u2"),
    "test_masks": ("u2", "u4", "u8"),
    "category_features": "i4",
    "category_limits": "i4",
    "tree_tables": "i8",
    "table_columns": "i4",
    "set_tables": "i8",
    "set_starts": "i8",
    "set_members": "u2",
    "set_masks": ("u2", "u4", "u8"),
    "leaf_starts": "i8",
    "leaves": "f8",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BitVectors:
    """Compiled trees. Immutable, and safe to use from several threads at once.

    Trees lie class by class, and within a class by iteration. A test is numerical or, in a set, categorical.

    Attributes:
        n_classes: scores a row.
        n_features: width of the rows.
        thresholds: float64, ascending within a column's bounds.
        column_features: int32 (n_columns), the feature that a column of bins is of.
        column_kinds: uint8 (n_columns), where missing values go (`models.bit_vector_kernels`).
        column_bounds: int64 (n_columns, 2), first threshold of the column and the one after its last.
        test_starts: int64 (n_trees + 1).
        test_columns: int32 (n_tests).
        test_bins: uint8 or uint16 (n_tests), largest bin that passes.
        test_masks: uint16, uint32 or uint64 (n_tests), leaves that remain if the test fails.
        category_features: int32, the feature that a column of categories is of.
        category_limits: int32, the category that is in no set, and that all unknown ones are taken for.
        tree_tables: int64 (n_trees + 1), a tree's tables: one for each category column that it asks for.
        table_columns: int32 (n_tables).
        set_tables: int64 (n_sets), the table that a categorical test belongs to, ascending.
        set_starts: int64 (n_sets + 1).
        set_members: uint16, the categories that pass, ascending within a set.
        set_masks: as `test_masks` (n_sets).
        leaf_starts: int64 (n_trees + 1).
        leaves: float64, values from left to right within a tree.

    Raises SetupError if the arrays do not fit together: the kernels look up what they are told without asking.
    """

    n_classes: int
    n_features: int
    thresholds: npt.NDArray[np.float64]
    column_features: npt.NDArray[np.int32]
    column_kinds: npt.NDArray[np.uint8]
    column_bounds: npt.NDArray[np.int64]
    test_starts: npt.NDArray[np.int64]
    test_columns: npt.NDArray[np.int32]
    test_bins: npt.NDArray[np.unsignedinteger[Any]]
    test_masks: npt.NDArray[np.unsignedinteger[Any]]
    category_features: npt.NDArray[np.int32]
    category_limits: npt.NDArray[np.int32]
    tree_tables: npt.NDArray[np.int64]
    table_columns: npt.NDArray[np.int32]
    set_tables: npt.NDArray[np.int64]
    set_starts: npt.NDArray[np.int64]
    set_members: npt.NDArray[np.uint16]
    set_masks: npt.NDArray[np.unsignedinteger[Any]]
    leaf_starts: npt.NDArray[np.int64]
    leaves: npt.NDArray[np.float64]
    _table_starts: npt.NDArray[np.int64] = field(init=False, repr=False)
    _tables: npt.NDArray[np.unsignedinteger[Any]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in _KINDS:
            object.__setattr__(self, name, frozen(getattr(self, name)))
        if wrong := self._wrong():
            raise SetupError(f"The compiled trees are damaged: {wrong}.")
        sizes = self.category_limits[self.table_columns].astype(np.int64) + 1
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        kind = self.test_masks.dtype
        if starts[-1] * kind.itemsize > MOST_TABLE_BYTES:
            raise SetupError("The compiled trees are damaged: their categorical tests do not fit into memory.")
        tables = np.full(starts[-1], np.iinfo(kind).max, kind)
        fill_tables(self.set_masks, self.set_starts, self.set_members, self.set_tables, starts, tables)
        object.__setattr__(self, "_table_starts", frozen(starts))
        object.__setattr__(self, "_tables", frozen(tables))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], *, n_classes: int, n_features: int) -> BitVectors:
        """Build from what `arrays` gave; SetupError if one is missing, too many or of another type."""
        if odd := sorted(set(arrays) ^ set(_KINDS)):
            raise SetupError(f"The compiled trees lack, or have one too many, array {odd[0]!r}.")
        for name, array in arrays.items():
            kinds = [np.dtype(kind) for kind in np.atleast_1d(_KINDS[name])]
            if array.dtype not in kinds or array.ndim != (2 if name == "column_bounds" else 1):
                raise SetupError(f"The compiled trees have {array.ndim}-d {array.dtype} numbers for {name}.")
        return cls(n_classes=n_classes, n_features=n_features, **arrays)

    @property
    def n_trees(self) -> int:
        """Number of trees: iterations times classes."""
        return len(self.leaf_starts) - 1

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays by name; views, not copies."""
        return {item.name: getattr(self, item.name) for item in fields(self) if item.name in _KINDS}

    def raw_scores(
        self, dense: npt.NDArray[np.floating[Any]], *, iterations_per_sum: int
    ) -> npt.NDArray[np.float64]:
        """Return the sums of the leaf values, float64 (n, n_classes).

        `dense` has n_features columns of float32 or float64. Each `iterations_per_sum` iterations are added up
        from 0, and their sums after that. Pure; one thread; releases the GIL. SetupError on another width.
        """
        if dense.ndim != 2 or dense.shape[1] != self.n_features:
            raise SetupError(f"The trees score rows of {self.n_features} features, not of shape {dense.shape}.")
        if dense.dtype not in (np.float32, np.float64):
            dense = dense.astype(np.float64)
        dense = np.ascontiguousarray(dense)
        bins = np.empty((len(self.column_features), len(dense)), self.test_bins.dtype)
        fill_bins(dense, self.thresholds, self.column_features, self.column_kinds, self.column_bounds, bins)
        categories = np.empty((len(self.category_features), len(dense)), np.uint16)
        fill_categories(dense, self.category_features, self.category_limits, categories)
        scores = np.empty((len(dense), self.n_classes), np.float64)
        score = score_rows if len(dense) <= _FEW_ROWS else score_blocks
        score(
            bins,
            categories,
            self.test_starts,
            self.test_columns,
            self.test_bins,
            self.test_masks,
            self.tree_tables,
            self.table_columns,
            self._table_starts,
            self._tables,
            self.leaf_starts,
            self.leaves,
            iterations_per_sum,
            scores,
        )
        return scores

    def _wrong(self) -> str | None:
        """Say what would lead the kernels out of their arrays."""
        n_columns, n_categories = len(self.column_features), len(self.category_features)
        if self.n_classes < 1 or self.n_trees % self.n_classes or len(self.test_starts) != self.n_trees + 1:
            return "their number is no multiple of the classes"
        starts_of = (
            (self.test_starts, len(self.test_bins)),
            (self.leaf_starts, len(self.leaves)),
            (self.tree_tables, len(self.table_columns)),
            (self.set_starts, len(self.set_members)),
        )
        if any(not len(s) or s[0] or s[-1] != n or (np.diff(s) < 0).any() for s, n in starts_of):
            return "what belongs to which tree is unclear"
        n_sets = len(self.set_masks)
        lengths_differ = (
            len({len(self.test_columns), len(self.test_bins), len(self.test_masks)}) > 1
            or len(self.tree_tables) != self.n_trees + 1
            or (len(self.set_tables), len(self.set_starts)) != (n_sets, n_sets + 1)
            or len(self.column_kinds) != n_columns
            or self.column_bounds.shape != (n_columns, 2)
            or len(self.category_limits) != n_categories
            or self.set_masks.dtype != self.test_masks.dtype
        )
        if lengths_differ:
            return "arrays that belong together differ in length or type"
        bounds = self.column_bounds
        outside = (
            _outside(self.column_features, self.n_features)
            or _outside(self.category_features, self.n_features)
            or _outside(self.test_columns, n_columns)
            or _outside(self.table_columns, n_categories)
            or _outside(self.set_tables, len(self.table_columns))
            or _outside(bounds, len(self.thresholds) + 1)
            or _outside(self.column_kinds, KIND_ZERO_RIGHT + 1)
            or _outside(self.category_limits, 2**16)
            or (np.diff(bounds, axis=1) < 1).any()
            or (np.diff(bounds, axis=1) > np.iinfo(self.test_bins.dtype).max).any()
        )
        if outside:
            return "a number points nowhere"
        # The rightmost leaf is left of no test: with its bit in every mask, a row always ends in a leaf.
        n_leaves = np.diff(self.leaf_starts)
        if len(n_leaves) and not (n_leaves.min() >= 1 and n_leaves.max() <= self.test_masks.dtype.itemsize * 8):
            return "a tree has no leaf, or more than a mask has bits"
        tree_of_test = np.repeat(np.arange(self.n_trees), np.diff(self.test_starts))
        tree_of_table = np.repeat(np.arange(self.n_trees), np.diff(self.tree_tables))
        for masks, tree in (
            (self.test_masks, tree_of_test),
            (self.set_masks, tree_of_table[self.set_tables]),
        ):
            if not (masks.astype(np.uint64) >> (n_leaves[tree] - 1).astype(np.uint64) & np.uint64(1)).all():
                return "a row could end in no leaf"
        return None


def _outside(numbers: npt.NDArray[np.integer[Any]], end: int) -> bool:
    return bool(len(numbers)) and bool(numbers.min() < 0 or numbers.max() >= end)
