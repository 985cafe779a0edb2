"""LightGBM's text format, read into arrays without LightGBM.

The text holds numbers with 17 digits, so what is read are the very doubles that LightGBM reads. Of a node's
`decision_type`, bit 0 says that it asks for a set of categories, bit 1 that a missing value goes left, and the
next two what is missing: nothing (NaN is 0), zero (and NaN), or NaN.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from schemas.errors import SetupError

CATEGORICAL: Final = 1
DEFAULT_LEFT: Final = 2
MISSING_SHIFT: Final = 2
MISSING_NONE: Final = 0
MISSING_ZERO: Final = 1
MISSING_NAN: Final = 2

_Number = TypeVar("_Number", bound=np.generic)

_SIZES: Final = re.compile(rb"^tree_sizes=([\d ]*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeHeader:
    """What the first lines say of all trees.

    Attributes:
        n_classes: trees an iteration, and scores a row.
        n_features: width of the rows that were fitted on.
        n_trees: number of trees.
        is_averaged: the scores are a mean (random forests), not a sum.
    """

    n_classes: int
    n_features: int
    n_trees: int
    is_averaged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """One tree as LightGBM numbers it: nodes from 0, the root; a child below 0 is the leaf ~child.

    Attributes:
        features: int64 (n_nodes), what each node asks for.
        thresholds: float64 (n_nodes), left is x <= threshold; of a categorical node, the index of its set.
        decisions: int64 (n_nodes), `decision_type`.
        left: int64 (n_nodes), the child taken when the answer is yes.
        right: int64 (n_nodes).
        leaf_values: float64 (n_leaves).
        sets: categories that go left, ascending int64 arrays.
        is_linear: leaves are linear functions of the row.
    """

    features: npt.NDArray[np.int64]
    thresholds: npt.NDArray[np.float64]
    decisions: npt.NDArray[np.int64]
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    leaf_values: npt.NDArray[np.float64]
    sets: tuple[npt.NDArray[np.int64], ...]
    is_linear: bool


def read_header(text: str) -> TreeHeader:
    """Read the first lines and see that every tree is where they put it.

    LightGBM jumps to the places that `tree_sizes` names without looking where the text ends: given half a file it
    reads beyond it and aborts the process. Raises SetupError if the text is in another format or damaged.
    """
    content = text.encode()
    header, _, _ = content.partition(b"\n\n")
    found = _SIZES.search(header)
    if found is None:
        raise SetupError("The trees are not in LightGBM's text format.")
    at = len(header) + 2
    sizes = found[1].split()
    for tree, size in enumerate(sizes):
        if not content.startswith(b"Tree=%d\n" % tree, at):
            raise SetupError(f"The trees are damaged: tree {tree} is not at byte {at}, where the header puts it.")
        at += int(size)
    if not content.startswith(b"end of trees", at):
        raise SetupError(f"The trees are damaged: they do not end at byte {at}, where the header says.")
    lines = header.decode().split("\n")
    values = _values(lines)
    try:
        n_classes = int(values["num_tree_per_iteration"])
        n_features = int(values["max_feature_idx"]) + 1
    except (KeyError, ValueError) as error:
        raise SetupError(f"The trees are damaged: their header lacks a number ({error}).") from error
    if n_classes < 1 or n_features < 1 or len(sizes) % n_classes:
        raise SetupError(
            f"The trees are damaged: {len(sizes)} trees of {n_classes} an iteration and {n_features} features."
        )
    return TreeHeader(
        n_classes=n_classes, n_features=n_features, n_trees=len(sizes), is_averaged="average_output" in lines
    )


def read_trees(text: str) -> list[Tree]:
    """Read all trees, in the order of the text; SetupError if one is damaged."""
    sections = text.partition("\nend of trees")[0].split("\n\nTree=")[1:]
    trees = []
    for number, section in enumerate(sections):
        try:
            trees.append(_tree(_values(section.split("\n"))))
        except (KeyError, ValueError, IndexError) as error:
            raise SetupError(f"The trees are damaged: tree {number} cannot be read ({error}).") from error
    return trees


def _values(lines: list[str]) -> dict[str, str]:
    return {name: value for name, sign, value in (line.partition("=") for line in lines) if sign}


def _tree(values: Mapping[str, str]) -> Tree:
    n_leaves = int(values["num_leaves"])
    leaf_values = _numbers(values["leaf_value"], np.float64, n_leaves)
    n_nodes = n_leaves - 1
    if n_leaves < 1:
        raise ValueError("no leaf")
    if not n_nodes:
        values = {}
    left, right = (_numbers(values.get(name, ""), np.int64, n_nodes) for name in ("left_child", "right_child"))
    _check_shape(left, right, n_leaves)
    n_sets = int(values.get("num_cat", "0"))
    bounds = _numbers(values["cat_boundaries"], np.int64, n_sets + 1) if n_sets else np.zeros(1, np.int64)
    words = _numbers(values["cat_threshold"], np.uint32, int(bounds[-1])) if n_sets else np.zeros(0, np.uint32)
    if bounds[0] or (np.diff(bounds) < 0).any():
        raise ValueError("its sets of categories overlap")
    decisions = _numbers(values.get("decision_type", ""), np.int64, n_nodes)
    thresholds = _numbers(values.get("threshold", ""), np.float64, n_nodes)
    asked = thresholds[decisions & CATEGORICAL == 1]
    if not np.isin(asked, np.arange(n_sets)).all():
        raise ValueError("a node asks for a set of categories that is not there")
    return Tree(
        features=_numbers(values.get("split_feature", ""), np.int64, n_nodes),
        thresholds=thresholds,
        decisions=decisions,
        left=left,
        right=right,
        leaf_values=leaf_values,
        sets=tuple(_members(words[bounds[i] : bounds[i + 1]]) for i in range(n_sets)),
        is_linear=values.get("is_linear", "0") != "0",
    )


def _numbers(text: str, kind: type[_Number], length: int) -> npt.NDArray[_Number]:
    numbers = np.array(text.split(), dtype=kind)
    if len(numbers) != length:
        raise ValueError(f"{len(numbers)} numbers where {length} belong")
    return numbers


def _members(words: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
    return np.flatnonzero(np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little")).astype(np.int64)


def _check_shape(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64], n_leaves: int) -> None:
    """Raise ValueError unless every node but the root, and every leaf, is the child of one node above it."""
    children = np.concatenate([left, right])
    expected = np.concatenate([np.arange(1, n_leaves - 1), ~np.arange(n_leaves)]) if n_leaves > 1 else children
    nodes = np.arange(n_leaves - 1)
    below = (left < 0) | (left > nodes), (right < 0) | (right > nodes)
    if not (np.array_equal(np.sort(children), np.sort(expected)) and below[0].all() and below[1].all()):
        raise ValueError("its nodes do not form a tree")
