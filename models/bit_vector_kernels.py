"""The loops of the bit-vector scorer, compiled.

A tree is a list of tests. A row that fails a test cannot end in the leaves left of it: the test's mask has a 0 for
each of those. All masks of failed tests, ANDed, leave the row's leaf as the lowest 1. No branch depends on a row,
so a test runs over a block of rows in vector registers.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit
from numba.extending import intrinsic

BLOCK: Final = 512
"""Rows that pass through all trees together; what a tree touches of them stays in the first-level cache."""

LANES: Final = 64
"""Blocks are filled up to a multiple: whole vector registers, no tail loop."""

KIND_PLAIN: Final = 0
KIND_NAN_LEFT: Final = 1
KIND_NAN_RIGHT: Final = 2
KIND_ZERO_LEFT: Final = 3
KIND_ZERO_RIGHT: Final = 4

ZERO: Final = float(np.float32(1e-35))
"""LightGBM takes a number as close to 0 as this for 0."""


def _trailing_zeros(typing_context: Any, mask: Any) -> Any:
    """Number of the lowest 1 of an unsigned integer, which is not 0."""

    def build(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return mask(mask), build


_lowest_bit: Any = intrinsic(_trailing_zeros)


@njit(cache=True, nogil=True)
def fill_bins(
    dense: npt.NDArray[np.floating[Any]],
    thresholds: npt.NDArray[np.float64],
    column_features: npt.NDArray[np.int32],
    column_kinds: npt.NDArray[np.uint8],
    column_bounds: npt.NDArray[np.int64],
    bins: npt.NDArray[np.unsignedinteger[Any]],
) -> None:
    """Write how many thresholds of its column are below each number: x <= thresholds[i] exactly if bin <= i.

    A missing value gets the bin from which every test sends it where that column's kind says.
    """
    n_rows = dense.shape[0]
    n_columns = column_features.shape[0]
    found = np.empty(n_rows, bins.dtype)
    for column in range(n_columns):
        feature = column_features[column]
        start = column_bounds[column, 0]
        n_thresholds = column_bounds[column, 1] - start
        # A feature's columns differ only in where missing values go: it is searched once, for the first of them.
        if column == 0 or column_features[column - 1] != feature:
            for row in range(n_rows):
                x = float(dense[row, feature])
                if math.isnan(x) or abs(x) <= ZERO:
                    x = 0.0
                # Halving without a branch: which half is a coin toss that the processor cannot predict.
                at = start
                left = n_thresholds
                while left > 1:
                    half = left >> 1
                    at = at + half if thresholds[at + half - 1] < x else at
                    left -= half
                found[row] = at - start + (1 if thresholds[at] < x else 0)
        kind = column_kinds[column]
        if kind == KIND_PLAIN:
            # Not `bins[column] = found`: a slice's assignment compiles a message about shapes, 2 s of CPU.
            for row in range(n_rows):
                bins[column, row] = found[row]
            continue
        missing = 0 if kind in (KIND_NAN_LEFT, KIND_ZERO_LEFT) else n_thresholds
        zero = ZERO if kind in (KIND_ZERO_LEFT, KIND_ZERO_RIGHT) else -1.0
        for row in range(n_rows):
            x = dense[row, feature]
            bins[column, row] = missing if math.isnan(x) or abs(x) <= zero else found[row]


@njit(cache=True, nogil=True)
def fill_categories(
    dense: npt.NDArray[np.floating[Any]],
    features: npt.NDArray[np.int32],
    limits: npt.NDArray[np.int32],
    categories: npt.NDArray[np.uint16],
) -> None:
    """Write the category of each number, cut off to a whole one; the limit for whatever no test can know."""
    for column in range(features.shape[0]):
        limit = limits[column]
        for row in range(dense.shape[0]):
            x = np.float64(dense[row, features[column]])
            # -0.5 is cut off to category 0, as in LightGBM. A NaN fails both comparisons.
            known = x > -1.0 and x < limit
            categories[column, row] = np.int64(x) if known else limit


@njit(cache=True)
def fill_tables(
    test_masks: npt.NDArray[np.unsignedinteger[Any]],
    set_starts: npt.NDArray[np.int64],
    members: npt.NDArray[np.uint16],
    test_tables: npt.NDArray[np.int64],
    table_starts: npt.NDArray[np.int64],
    tables: npt.NDArray[np.unsignedinteger[Any]],
) -> None:
    """AND each categorical test's mask into its table, for all categories but the members of its set."""
    for test in range(test_masks.shape[0]):
        start = table_starts[test_tables[test]]
        end = table_starts[test_tables[test] + 1]
        member = set_starts[test]
        for at in range(start, end):
            if member < set_starts[test + 1] and members[member] == at - start:
                member += 1
            else:
                tables[at] &= test_masks[test]


@njit(cache=True, nogil=True)
def score_blocks(
    bins: npt.NDArray[np.unsignedinteger[Any]],
    categories: npt.NDArray[np.uint16],
    test_starts: npt.NDArray[np.int64],
    test_columns: npt.NDArray[np.int32],
    test_bins: npt.NDArray[np.unsignedinteger[Any]],
    test_masks: npt.NDArray[np.unsignedinteger[Any]],
    tree_tables: npt.NDArray[np.int64],
    table_columns: npt.NDArray[np.int32],
    table_starts: npt.NDArray[np.int64],
    tables: npt.NDArray[np.unsignedinteger[Any]],
    leaf_starts: npt.NDArray[np.int64],
    leaves: npt.NDArray[np.float64],
    iterations_per_sum: int,
    scores: npt.NDArray[np.float64],
) -> None:
    """Score blocks of rows: block, then class, then tree, then test, then rows. Trees lie class by class."""
    n_rows, n_classes = scores.shape
    n_iterations = (test_starts.shape[0] - 1) // n_classes
    kind = test_masks.dtype.type
    full = ~kind(0)
    masks = np.empty(BLOCK, test_masks.dtype)
    sums = np.empty(BLOCK, np.float64)
    totals = np.empty(BLOCK, np.float64)
    block = np.zeros((bins.shape[0], BLOCK), bins.dtype)
    for first in range(0, n_rows, BLOCK):
        n = min(BLOCK, n_rows - first)
        # What lies beyond the last row is scored, too, and thrown away.
        width = (n + LANES - 1) // LANES * LANES
        for column in range(bins.shape[0]):
            for row in range(n):
                block[column, row] = bins[column, first + row]
        for k in range(n_classes):
            for row in range(width):
                sums[row] = 0.0
                totals[row] = 0.0
            until_sum = iterations_per_sum
            for iteration in range(n_iterations):
                tree = k * n_iterations + iteration
                leaf = leaf_starts[tree]
                if leaf_starts[tree + 1] - leaf == 1:
                    value = leaves[leaf]
                    for row in range(width):
                        sums[row] += value
                else:
                    for row in range(width):
                        masks[row] = full
                    test = test_starts[tree]
                    end = test_starts[tree + 1]
                    # Four tests at a time: the masks are loaded and stored once instead of four times.
                    while test + 4 <= end:
                        a, b = block[test_columns[test]], block[test_columns[test + 1]]
                        c, d = block[test_columns[test + 2]], block[test_columns[test + 3]]
                        a_bin, b_bin = test_bins[test], test_bins[test + 1]
                        c_bin, d_bin = test_bins[test + 2], test_bins[test + 3]
                        a_mask, b_mask = test_masks[test], test_masks[test + 1]
                        c_mask, d_mask = test_masks[test + 2], test_masks[test + 3]
                        for row in range(width):
                            a_left = full if a[row] <= a_bin else a_mask
                            b_left = full if b[row] <= b_bin else b_mask
                            c_left = full if c[row] <= c_bin else c_mask
                            d_left = full if d[row] <= d_bin else d_mask
                            masks[row] &= (a_left & b_left) & (c_left & d_left)
                        test += 4
                    while test < end:
                        a = block[test_columns[test]]
                        a_bin, a_mask = test_bins[test], test_masks[test]
                        for row in range(width):
                            masks[row] &= full if a[row] <= a_bin else a_mask
                        test += 1
                    for table in range(tree_tables[tree], tree_tables[tree + 1]):
                        start = table_starts[table]
                        column = table_columns[table]
                        for row in range(n):
                            masks[row] &= tables[start + categories[column, first + row]]
                    for row in range(width):
                        sums[row] += leaves[leaf + _lowest_bit(masks[row])]
                until_sum -= 1
                if until_sum == 0 or iteration == n_iterations - 1:
                    for row in range(width):
                        totals[row] += sums[row]
                        sums[row] = 0.0
                    until_sum = iterations_per_sum
            for row in range(n):
                scores[first + row, k] = totals[row]


@njit(cache=True, nogil=True)
def score_rows(
    bins: npt.NDArray[np.unsignedinteger[Any]],
    categories: npt.NDArray[np.uint16],
    test_starts: npt.NDArray[np.int64],
    test_columns: npt.NDArray[np.int32],
    test_bins: npt.NDArray[np.unsignedinteger[Any]],
    test_masks: npt.NDArray[np.unsignedinteger[Any]],
    tree_tables: npt.NDArray[np.int64],
    table_columns: npt.NDArray[np.int32],
    table_starts: npt.NDArray[np.int64],
    tables: npt.NDArray[np.unsignedinteger[Any]],
    leaf_starts: npt.NDArray[np.int64],
    leaves: npt.NDArray[np.float64],
    iterations_per_sum: int,
    scores: npt.NDArray[np.float64],
) -> None:
    """Do what `score_blocks` does, row by row: faster for a few rows, which would not fill a vector register."""
    n_rows, n_classes = scores.shape
    n_iterations = (test_starts.shape[0] - 1) // n_classes
    kind = test_masks.dtype.type
    full = ~kind(0)
    own = np.empty(bins.shape[0], bins.dtype)
    for row in range(n_rows):
        for column in range(bins.shape[0]):
            own[column] = bins[column, row]
        for k in range(n_classes):
            total = 0.0
            sum_: Any = 0.0
            until_sum = iterations_per_sum
            for iteration in range(n_iterations):
                tree = k * n_iterations + iteration
                mask = full
                for test in range(test_starts[tree], test_starts[tree + 1]):
                    # All ones or none, by arithmetic: of a choice, the compiler makes a branch here.
                    passed = kind(0) - kind(own[test_columns[test]] <= test_bins[test])
                    mask &= kind(passed | test_masks[test])
                for table in range(tree_tables[tree], tree_tables[tree + 1]):
                    mask &= tables[table_starts[table] + categories[table_columns[table], row]]
                sum_ += leaves[leaf_starts[tree] + _lowest_bit(mask)]
                until_sum -= 1
                if until_sum == 0 or iteration == n_iterations - 1:
                    total += sum_
                    sum_ = 0.0
                    until_sum = iterations_per_sum
            scores[row, k] = total
