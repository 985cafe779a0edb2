"""The file of a bundle that spares a worker LightGBM: trees compiled to bit vectors.

It is made of `trees.txt` and can be made anew of it; a bundle may be without.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from models import bundle_arrays
from models.bit_vectors import BitVectors
from models.trees import CompiledTrees
from schemas.errors import BundleError

LAYOUT: Final = 1
"""Of the arrays. A file of another layout is passed over, and the trees are compiled again."""

_LAYOUT: Final = "layout"
_SOURCE: Final = "source"
_SHAPE: Final = "shape"
_ROWS: Final = "check.rows"
_SCORES: Final = "check.raw_scores"


def to_bytes(compiled: CompiledTrees, model_text: str) -> bytes:
    """Return the file: the same trees give the same bytes."""
    trees = compiled.bit_vectors
    arrays: dict[str, npt.NDArray[Any]] = {
        **trees.arrays(),
        _LAYOUT: np.array([LAYOUT], np.int64),
        _SOURCE: _digest(model_text),
        _SHAPE: np.array([trees.n_classes, trees.n_features], np.int64),
        _ROWS: compiled.rows,
        _SCORES: compiled.raw_scores,
    }
    return bundle_arrays.to_bytes(arrays)


def from_bytes(content: bytes, model_text: str, file: str) -> CompiledTrees | None:
    """Read what `to_bytes` gave; None if another version of this program wrote another layout.

    Raises BundleError if it is damaged or made of other trees; SetupError if its arrays do not fit together.
    """
    arrays: dict[str, npt.NDArray[Any]] = dict(bundle_arrays.from_bytes(content, file))
    try:
        if arrays.pop(_LAYOUT).tolist() != [LAYOUT]:
            return None
        source, shape = arrays.pop(_SOURCE), arrays.pop(_SHAPE)
        rows, scores = arrays.pop(_ROWS), arrays.pop(_SCORES)
    except KeyError as error:
        raise BundleError(f"{file} lacks the array {error}: train anew.") from error
    if not np.array_equal(source, _digest(model_text)):
        raise BundleError(f"{file} was not made of the trees beside it: fetch the bundle again or train anew.")
    if shape.shape != (2,) or rows.dtype != np.float32 or rows.shape != (len(rows), int(shape[1])):
        raise BundleError(f"{file} does not hold compiled trees: fetch the bundle again or train anew.")
    trees = BitVectors.from_arrays(arrays, n_classes=int(shape[0]), n_features=int(shape[1]))
    return CompiledTrees(bit_vectors=trees, rows=rows, raw_scores=scores)


def _digest(model_text: str) -> npt.NDArray[np.uint8]:
    return np.frombuffer(hashlib.sha256(model_text.encode()).digest(), np.uint8)
