"""Fit the text model, and its out-of-fold scores for the trees on top.

The settings were chosen by validation on three catalogues (computer parts, a general shop, appliances; the
validation rows were part of neither the train nor the test part). All three gained from more weight on the
character n-grams of the title and less on brand and seller; none minded any C from 0.5 to 2.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from features.ngrams import TokenCounts
from features.spec import FeatureSpec
from models.calibration import fit_temperature
from models.text_model import TextModel
from models.weighting import fit_weighting
from training.linear_svm import LinearSvm, fit_linear_svm
from training.progress import Progress

#: Weight of errors against large weights (C of a linear SVM).
COST: Final = 1.0

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
    """

    model: TextModel
    out_of_fold: npt.NDArray[np.float64]


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
    block_weights = [BLOCK_WEIGHTS.get(block.name, 1.0) for block in spec.blocks]
    weighting = fit_weighting(tokens, n_buckets=spec.n_buckets, block_weights=block_weights)
    rows = weighting.row_vectors(tokens)
    buckets, columns = np.unique(rows.indices, return_inverse=True)
    rows = csr_matrix((rows.data, columns.astype(np.int32), rows.indptr), shape=(rows.shape[0], len(buckets)))
    held_out = [fold for fold in range(int(folds.max()) + 1) if 0 < np.count_nonzero(folds == fold) < len(folds)]
    progress.step("Fitting the text model", len(held_out) + 1)

    def fit(fold: int | None) -> LinearSvm:
        kept = np.flatnonzero(folds != fold) if fold is not None else np.arange(len(folds))
        return fit_linear_svm(rows[kept], targets[kept], n_classes=n_classes, cost=COST, seed=seed)

    margins = np.zeros((len(targets), n_classes))
    with ThreadPoolExecutor(_THREADS) as pool:
        final = pool.submit(fit, None)
        for fold, machines in zip(held_out, pool.map(fit, held_out), strict=True):
            margins[folds == fold] = machines.margins(rows[folds == fold])
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
    return TextFit(model=model, out_of_fold=margins / temperature)
