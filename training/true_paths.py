"""True categories and the model's: which class a product should get, and whether what is published is true."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.taxonomy import Path

#: The class of a product whose category has none in the model, not even an ancestor.
UNKNOWN: Final = -1

_SEPARATOR: Final = "\x1f"
_pc: Final[Any] = pc  # its stubs know no dictionaries


def paths_of(column: pa.ChunkedArray[Any] | pa.Array[Any]) -> list[Path]:
    """Return a column of paths as tuples."""
    return [tuple(path) for path in cast("list[list[str]]", column.to_pylist())]


def classes_of(paths: Sequence[Path], leaves: Sequence[Path]) -> npt.NDArray[np.int32]:
    """Return the class of each true path: the longest part of it, from the root, that is a leaf, or UNKNOWN."""
    position = {leaf: index for index, leaf in enumerate(leaves)}
    known: dict[Path, int] = {}
    for path in set(paths):
        prefixes = (path[:depth] for depth in range(len(path), 0, -1))
        known[path] = next((position[prefix] for prefix in prefixes if prefix in position), UNKNOWN)
    return np.fromiter((known[path] for path in paths), np.int32, len(paths))


def is_at_or_above(published: pa.Array[Any], truth: pa.Array[Any]) -> npt.NDArray[np.bool_]:
    """Tell of each pair of paths whether the first is the second or an ancestor of it."""
    ours, theirs = (_pc.binary_join(paths, _SEPARATOR).dictionary_encode() for paths in (published, truth))
    n_theirs = len(theirs.dictionary)
    # Only the pairs that occur: of thousands of categories all pairs would be millions.
    pairs, pair_of_row = np.unique(
        ours.indices.to_numpy().astype(np.int64) * n_theirs + theirs.indices.to_numpy(), return_inverse=True
    )
    prefixes, full = ours.dictionary.to_pylist(), theirs.dictionary.to_pylist()
    of_pair = np.array(
        [
            (full[pair % n_theirs] + _SEPARATOR).startswith(prefixes[pair // n_theirs] + _SEPARATOR)
            for pair in pairs.tolist()
        ],
        np.bool_,
    )
    right: npt.NDArray[np.bool_] = of_pair[pair_of_row]
    return right
