"""Compiles the kernels that score and decide, by a model of two categories that knows nothing."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa

from features.identities import FIELDS
from features.matrix import FeatureMatrix
from features.ngrams import TokenCounts
from models.bit_vectors import BitVectors
from models.calibration import Calibration, TopCurve
from models.decisions import decide
from models.familiarity import fit_familiarity
from models.taxonomy import Taxonomy
from models.text_model import TextModel
from models.thresholds import Thresholds
from models.weighting import Weighting
from schemas import columns

TAXONOMY: Final = Taxonomy((("Things", "One"), ("Things", "Other")))


def decisions(product_ids: pa.Array[Any]) -> pa.RecordBatch:
    """Return decisions (`columns.DECISION`) that mean nothing, and compile or load every kernel on the way there.

    The kernels of trees are compiled for what `sortline train` makes: up to 16 leaves, and up to 255 thresholds a
    feature; those for other trees are compiled when such trees are met.
    """
    n_rows = len(product_ids)
    _score(made_up_trees(np.uint8))
    features = FeatureMatrix(
        dense=np.zeros((n_rows, 1), np.float32),
        tokens=one_ngram_each(n_rows),
        identities=np.zeros((n_rows, len(FIELDS)), np.int64),
    )
    scores = _text_model().scores(features.tokens).astype(np.float64)
    calibration = Calibration(top_curve=TopCurve(a=1.0, b=1.0, shift=0.0))
    thresholds = Thresholds.equal(0.5, len(TAXONOMY.nodes)).nodes
    verdicts = decide(product_ids, calibration.probabilities(scores), TAXONOMY, thresholds)
    new = fit_familiarity(features).unseen(features).columns()
    return pa.RecordBatch.from_arrays([*verdicts.columns, *new], schema=columns.DECISION)


def compile_kernels() -> None:
    """Compile or load them, those for 256 thresholds a feature and more as well."""
    decisions(pa.array(["warm-up"]))
    _score(made_up_trees(np.uint16))


def made_up_trees(bins: type[np.uint8] | type[np.uint16]) -> BitVectors:
    """Return a tree of two leaves for each of the two categories."""
    nothing = np.zeros(0, np.int32)
    return BitVectors(
        n_classes=2,
        n_features=1,
        thresholds=np.zeros(1),
        column_features=np.zeros(1, np.int32),
        column_kinds=np.zeros(1, np.uint8),
        column_bounds=np.array([[0, 1]], np.int64),
        test_starts=np.arange(3),
        test_columns=np.zeros(2, np.int32),
        test_bins=np.zeros(2, bins),
        test_masks=np.full(2, 0b10, np.uint16),
        category_features=nothing,
        category_limits=nothing,
        tree_tables=np.zeros(3, np.int64),
        table_columns=nothing,
        set_tables=np.zeros(0, np.int64),
        set_starts=np.zeros(1, np.int64),
        set_members=np.zeros(0, np.uint16),
        set_masks=np.zeros(0, np.uint16),
        leaf_starts=np.arange(0, 5, 2),
        leaves=np.zeros(4),
    )


def _score(trees: BitVectors) -> None:
    for n_rows in (1, 16):  # a few rows and many are scored by different kernels
        trees.raw_scores(np.zeros((n_rows, 1), np.float32), iterations_per_sum=1)


def _text_model() -> TextModel:
    return TextModel(
        weighting=Weighting(idf=np.ones(2, np.float32), block_weights=np.ones(1, np.float32)),
        buckets=np.arange(2, dtype=np.int32),
        weights=np.zeros((2, 2), np.float32),
        bias=np.zeros(2, np.float32),
    )


def one_ngram_each(n_rows: int) -> TokenCounts:
    """Return the n-grams of products that have one, and all the same."""
    return TokenCounts(
        indptr=np.arange(n_rows + 1),
        buckets=np.zeros(n_rows, np.int32),
        hashes=np.zeros(n_rows, np.uint32),
        counts=np.ones(n_rows, np.float32),
        n_blocks=1,
    )
