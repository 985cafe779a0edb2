"""Compiles the kernels that only training needs, by a fit on two made-up rows."""

from __future__ import annotations

import numpy as np

from models.warm_up import TAXONOMY, one_ngram_each
from models.weighting import fit_weighting
from training.linear_svm import fit_linear_svm


def compile_kernels() -> None:
    """Weigh, fit and add up, so that every kernel is compiled or loaded."""
    tokens = one_ngram_each(2)
    rows = fit_weighting(tokens, n_buckets=2, block_weights=[1.0]).row_vectors(tokens)
    fit_linear_svm(rows, np.arange(2, dtype=np.int32), n_classes=2, cost=1.0, seed=7, max_epochs=1)
    TAXONOMY.node_probabilities(np.full((1, 2), 0.5))
