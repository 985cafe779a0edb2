"""Fit the text model, and its out-of-fold scores for the trees on top.

The settings were chosen by validation on three catalogues (computer parts, a general shop, appliances; the
validation rows were part of neither the train nor the test part). All three gained from more weight on the
character n-grams of the title and less on brand and seller, and from short character n-grams together with a C
of 2 (docs/accuracy.md, docs/decisions/0013).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from features.ngrams import TokenCounts
from features.spec import FeatureSpec
from models.calibration import fit_temperature
from models.text_model import TextModel
from models.weighting import Weighting, fit_weighting
from training.linear_svm import LinearSvm, fit_linear_svm
from training.progress import Progress

#: Weight of errors against large weights (C of a linear SVM).
COST: Final = 2.0

#: Length of each block's part of a product; 1 for a block not named.
BLOCK_WEIGHTS: Final = {"title/char": 1.5, "brand/word": 0.7, "seller_id/word": 0.5}

#: Folds fitted at the same time: each holds a table of its own, n-grams by classes.
_THREADS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFit:
    """A text model, and what it says of its own training rows when they are held out.

    Attributes:
        model: fitted on all rows; its scores are logits, that is, softmax of them is calibrated.
        out_of_fold: float64 (n_rows, n_classes): scores of each row by a model that never saw its fold, on the
            scale of `model`.
        temperature: what margins of the machines were divided by.
    """

    model: TextModel
    out_of_fold: npt.NDArray[np.float64]
    temperature: float


def fit_text_model(
    tokens: TokenCounts,
    targets: npt.NDArray[np.int32],
    folds: npt.NDArray[np.int8],
    *,
    spec: FeatureSpec,
    n_classes: int,
    seed: int,
    progress: Progress,
) -> TextFit:
    """Fit on all rows given, each with its class and its fold.

    Inverse document frequencies come from all of them (they know no classes). The margins of the machines are
    divided by the temperature that makes the softmax of the out-of-fold margins most likely; that division is part
    of the stored weights. Deterministic.
    """
    weighting, buckets, rows = weighted_rows(tokens, spec)
    held_out = [fold for fold in range(int(folds.max()) + 1) if 0 < np.count_nonzero(folds == fold) < len(folds)]
    progress.step("Fitting the text model", len(held_out) + 1)

    margins = np.zeros((len(targets), n_classes))
    with fitting_threads() as (pool, is_cancelled):
        fit = partial(
            fit_linear_svm, rows, targets, n_classes=n_classes, cost=COST, seed=seed, is_cancelled=is_cancelled
        )
        final = pool.submit(fit)
        for fold, of_fold in _held_out_margins(pool, fit, rows, folds, held_out):
            margins[folds == fold] = of_fold
            progress.advance()
        final_machines = final.result()
        progress.advance()

    temperature = fit_temperature(margins, targets.astype(np.int64)).temperature
    model = TextModel(
        weighting=weighting,
        buckets=buckets.astype(np.int32),
        weights=(final_machines.weights / temperature).astype(np.float32),
        bias=(final_machines.bias / temperature).astype(np.float32),
    )
    return TextFit(model=model, out_of_fold=margins / temperature, temperature=temperature)


def held_out_scores(
    fit: TextFit,
    tokens: TokenCounts,
    targets: npt.NDArray[np.int32],
    folds: npt.NDArray[np.int8],
    *,
    n_classes: int,
    seed: int,
    progress: Progress,
) -> npt.NDArray[np.float64]:
    """Return scores of each row by machines that never saw its fold, on the scale of the model; NaN in fold -1.

    `fit` was fitted on the same rows; a row of fold -1 is trained on always. Each fold must leave rows of it out.
    """
    _, rows = _without_empty_columns(fit.model.weighting.row_vectors(tokens))
    held_out = [int(fold) for fold in np.unique(folds) if fold >= 0]
    scores = np.full((len(targets), n_classes), np.nan)
    with fitting_threads() as (pool, is_cancelled):
        fit_machines = partial(
            fit_linear_svm, rows, targets, n_classes=n_classes, cost=COST, seed=seed, is_cancelled=is_cancelled
        )
        for fold, found in _held_out_margins(pool, fit_machines, rows, folds, held_out):
            scores[folds == fold] = found / fit.temperature
            progress.advance()
    return scores


def _held_out_margins(
    pool: ThreadPoolExecutor,
    fit: Callable[..., LinearSvm],
    rows: csr_matrix,
    folds: npt.NDArray[np.int8],
    held_out: Sequence[int],
) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """Give each fold held out and the margins of its rows; their fits are in the pool from now on."""

    def margins(fold: int) -> npt.NDArray[np.float32]:
        return fit(chosen=np.flatnonzero(folds != fold)).margins(rows[folds == fold])

    return zip(held_out, pool.map(margins, held_out), strict=True)


def weighted_rows(tokens: TokenCounts, spec: FeatureSpec) -> tuple[Weighting, npt.NDArray[np.int64], csr_matrix]:
    """Return a weighting fitted on all rows, the buckets that have entries, and the rows over these alone."""
    block_weights = [BLOCK_WEIGHTS.get(block.name, 1.0) for block in spec.blocks]
    weighting = fit_weighting(tokens, n_buckets=spec.n_buckets, block_weights=block_weights)
    return weighting, *_without_empty_columns(weighting.row_vectors(tokens))


@contextlib.contextmanager
def fitting_threads() -> Iterator[tuple[ThreadPoolExecutor, Callable[[], bool]]]:
    """Give threads, and what tells a fit on them to end: or leaving would wait until all is fitted."""
    is_interrupted = threading.Event()
    pool = ThreadPoolExecutor(_THREADS)
    try:
        yield pool, is_interrupted.is_set
    except BaseException:
        is_interrupted.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _without_empty_columns(rows: csr_matrix) -> tuple[npt.NDArray[np.int64], csr_matrix]:
    """Return the numbers of the columns that have entries, ascending, and the rows over these alone."""
    is_used = np.zeros(rows.shape[1], np.bool_)
    is_used[rows.indices] = True
    used = np.flatnonzero(is_used)
    place = np.cumsum(is_used, dtype=np.int32) - np.int32(1)
    return used, csr_matrix((rows.data, place[rows.indices], rows.indptr), shape=(rows.shape[0], len(used)))
