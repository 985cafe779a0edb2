"""Which class is taken for which, most often first, with the products where the model was surest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from models.taxonomy import Path
from training.examples import Example, examples_of, surest_titles
from training.outcomes import Outcomes
from training.true_paths import UNKNOWN

_PAIRS: Final = 12
_EXAMPLES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """Products of one class for which another is the most probable leaf.

    Attributes:
        truth, taken_for: the two classes.
        n: such products.
        share: of all products of `truth`.
        published: how many of the `n` went out with a path that is wrong.
        examples: of different titles, surest first: a slip of the labels often stands on top.
    """

    truth: Path
    taken_for: Path
    n: int
    share: float
    published: int
    examples: tuple[Example, ...]


def worst_confusions(
    outcomes: Outcomes, products: pa.Table, *, n_pairs: int = _PAIRS, n_examples: int = _EXAMPLES
) -> tuple[Confusion, ...]:
    """Return the pairs of classes with most products, at most `n_pairs`; ties in the order of the classes.

    `products` has the rows of `outcomes`. Products of no known class are in no pair. Pure.
    """
    n_classes, leaves = outcomes.taxonomy.n_leaves, outcomes.taxonomy.leaves
    wrong = np.nonzero(~outcomes.is_right & (outcomes.targets != UNKNOWN))[0]
    pair_of_row = outcomes.targets[wrong].astype(np.int64) * n_classes + outcomes.best[wrong]
    pairs, counts = np.unique(pair_of_row, return_counts=True)
    support = np.bincount(outcomes.targets[outcomes.targets != UNKNOWN], minlength=n_classes)
    confusions = []
    for at in np.argsort(-counts, kind="stable")[:n_pairs]:
        rows = wrong[pair_of_row == pairs[at]]
        surest = surest_titles(outcomes.confidence, products, rows, n_examples)
        truth, taken_for = divmod(int(pairs[at]), n_classes)
        confusions.append(
            Confusion(
                truth=leaves[truth],
                taken_for=leaves[taken_for],
                n=int(counts[at]),
                share=float(counts[at] / support[truth]),
                published=int((outcomes.is_published[rows] & ~outcomes.is_true[rows]).sum()),
                examples=examples_of(outcomes, products, surest),
            )
        )
    return tuple(confusions)
