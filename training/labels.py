"""What each product is trained as: its own category, or an ancestor where there are too few products to learn it.

The parts of a path above its leaf are true of the product as well, so training a rare category as its parent loses
detail but says nothing wrong. Evaluation still looks at the true path: see `training.outcomes`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from models.taxonomy import Path

#: A root category below `min_products` is still kept with this many products: there is nothing to merge it into.
_ROOT_PRODUCTS: Final = 2

EXCLUDED: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedLabels:
    """The classes of a model, and how the categories of the catalogue became them.

    Attributes:
        leaves: the classes, sorted.
        targets: the class of each row as a position in `leaves`, int32; EXCLUDED where the product is left out.
        merged: each category that is trained as an ancestor, and that ancestor.
        excluded: each category that is left out, and its number of products.
    """

    leaves: tuple[Path, ...]
    targets: npt.NDArray[np.int32]
    merged: Mapping[Path, Path]
    excluded: Mapping[Path, int]


def merge_small_categories(
    paths: Sequence[Path], *, is_train: npt.NDArray[np.bool_], min_products: int
) -> TrainedLabels:
    """Choose the classes: a category with fewer than `min_products` rows goes to its parent, and so on upward.

    So does one without a single row to train on (all its products may share one group). A root that is still too
    small is kept if it has two products or more, one of them to train on; otherwise its products are excluded.
    """
    rows = Counter(paths)
    train_rows = Counter(path for path, trained in zip(paths, is_train.tolist(), strict=True) if trained)
    becomes: dict[Path, Path] = {}
    # Deepest first: a parent is looked at after everything that can still be merged into it.
    for depth in range(max((len(path) for path in rows), default=0), 0, -1):
        for path in sorted(path for path in rows if len(path) == depth):
            if rows[path] >= min_products and train_rows[path]:
                continue
            if depth > 1:
                parent = path[:-1]
                rows[parent] += rows.pop(path)
                train_rows[parent] += train_rows.pop(path, 0)
                becomes[path] = parent
            elif rows[path] < _ROOT_PRODUCTS or not train_rows[path]:
                del rows[path]

    leaves = tuple(sorted(rows))
    position = {leaf: index for index, leaf in enumerate(leaves)}
    trained_as = {path: _follow(path, becomes) for path in set(paths)}
    targets = np.fromiter((position.get(trained_as[path], EXCLUDED) for path in paths), np.int32, len(paths))
    categories = Counter(paths)
    return TrainedLabels(
        leaves=leaves,
        targets=targets,
        merged={path: leaf for path, leaf in sorted(trained_as.items()) if leaf != path and leaf in position},
        excluded={path: categories[path] for path in sorted(trained_as) if trained_as[path] not in position},
    )


def _follow(path: Path, becomes: Mapping[Path, Path]) -> Path:
    while path in becomes:
        path = becomes[path]
    return path
