"""Thousands of categories: what is left out then, and a text model whose fit needs little memory.

Machines are independent of each other, so they are fitted some classes at a time: beside the model itself there is
only a small table and the scores of the held-out rows. Two fits make the model, one without the held-out rows,
which calibration and thresholds see, and one on all rows, which is kept. Figures: docs/accuracy.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from features.ngrams import TokenCounts
from features.spec import FeatureSpec, text_spec
from models.calibration import fit_temperature
from models.text_model import TextModel
from training.linear_svm import LinearSvm, fit_linear_svm
from training.progress import Progress
from training.text_fit import COST, fitting_threads, weighted_rows

#: With more classes there are no trees: LightGBM fits one a class and round, 76 s at 600 classes, and its scores
#: need out-of-fold scores of every row for every class, 3.2 GB at 5,000 classes and 80,000 products.
MOST_CLASSES_WITH_TREES: Final = 300

#: Weights of the text model at most: 2^28 float32 are 1 GB, which a worker holds once and saving some times over.
#: That is 2^18 buckets, the default, up to 1,024 classes, and 2^15 at 5,000.
MOST_WEIGHTS: Final = 1 << 28

DEFAULT_HASH_BITS: Final = text_spec(()).hash_bits

#: Machines fitted together: at 2^15 buckets their table is 17 MB, most of it in cache.
_CLASSES_AT_ONCE: Final = 128

#: Scores that one temperature is fitted on, at most: 64 MB, and each step of the search passes over them.
_SCORES_TO_CALIBRATE: Final = 1 << 23


@dataclass(frozen=True, slots=True, kw_only=True)
class ManyClassesFit:
    """A text model, and what one that was fitted without the held-out rows says of these.

    Attributes:
        model: fitted on all rows; its scores are logits.
        held_out: float32 (n_held_out, n_classes), in the order of the rows, on the scale of `model`.
    """

    model: TextModel
    held_out: npt.NDArray[np.float32]


def hash_bits_for(n_classes: int) -> int:
    """Return how many bits number the buckets, so that their weights are at most MOST_WEIGHTS.

    >>> [hash_bits_for(n) for n in (2, 1024, 1025, 5000)]
    [18, 18, 17, 15]
    """
    return max(1, min(DEFAULT_HASH_BITS, (MOST_WEIGHTS // n_classes).bit_length() - 1))


def left_out(n_classes: int, *, most_with_trees: int, hash_bits: int) -> tuple[str, ...]:
    """Return, one sentence each, what a model of so many classes goes without; nothing if it has all."""
    if n_classes <= most_with_trees:
        return ()
    reasons = [
        f"no trees: {n_classes:,} categories are more than {most_with_trees:,}, the text model alone decides",
        "no caution about brands not seen: it takes a fit of its own for each fold of the brands",
    ]
    if hash_bits < DEFAULT_HASH_BITS:
        reasons.append(
            f"2^{hash_bits} buckets of n-grams instead of 2^{DEFAULT_HASH_BITS}: more could need over "
            f"{4 * MOST_WEIGHTS >> 30} GB of weights"
        )
    return tuple(reasons)


def fit_many_classes(
    tokens: TokenCounts,
    targets: npt.NDArray[np.int32],
    *,
    n_held_out: int,
    spec: FeatureSpec,
    n_classes: int,
    seed: int,
    progress: Progress,
) -> ManyClassesFit:
    """Fit on all rows given, each with its class, of which the last `n_held_out` are held out once.

    As `fit_text_model` otherwise: the same weighting and settings, and margins divided by the temperature that
    makes those of the held-out rows most likely. Deterministic.
    """
    weighting, buckets, rows = weighted_rows(tokens, spec)
    first_held_out = len(targets) - n_held_out
    others, held_out_rows = np.arange(first_held_out), rows[first_held_out:]
    chunks = list(_chunks(n_classes))
    progress.step("Fitting the text model", len(chunks))

    held_out = np.empty((n_held_out, n_classes), np.float32)
    weights = np.empty((len(buckets), n_classes), np.float32)
    bias = np.empty(n_classes, np.float32)
    with fitting_threads() as (pool, is_cancelled):

        def fit(classes: slice, chosen: npt.NDArray[np.int64] | None) -> LinearSvm:
            return fit_linear_svm(
                rows,
                targets - np.int32(classes.start),  # whatever is then no class of the chunk is of none of them
                n_classes=classes.stop - classes.start,
                cost=COST,
                seed=seed,
                chosen=chosen,
                is_cancelled=is_cancelled,
            )

        def fit_twice(classes: slice) -> None:
            held_out[:, classes] = fit(classes, others).margins(held_out_rows)
            machines = fit(classes, None)
            weights[:, classes], bias[classes] = machines.weights, machines.bias

        for _ in pool.map(fit_twice, chunks):
            progress.advance()

    sample = rows_to_calibrate(held_out)
    margins = held_out[sample].astype(np.float64)
    temperature = fit_temperature(margins, targets[first_held_out:][sample].astype(np.int64)).temperature
    for scores in (held_out, weights, bias):
        scores /= np.float32(temperature)
    model = TextModel(weighting=weighting, buckets=buckets.astype(np.int32), weights=weights, bias=bias)
    return ManyClassesFit(model=model, held_out=held_out)


def rows_to_calibrate(scores: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int64]:
    """Return evenly spaced rows, so many that their scores are quickly passed over; all of them if that is few."""
    n_rows, n_classes = scores.shape
    n_wanted = min(n_rows, max(1, _SCORES_TO_CALIBRATE // n_classes))
    return np.unique(np.linspace(0, max(n_rows - 1, 0), n_wanted).astype(np.int64))


def _chunks(n_classes: int) -> Iterator[slice]:
    for start in range(0, n_classes, _CLASSES_AT_ONCE):
        yield slice(start, min(start + _CLASSES_AT_ONCE, n_classes))
