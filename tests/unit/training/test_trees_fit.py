from __future__ import annotations

import numpy as np
import numpy.typing as npt

from features.spec import FeatureSpec, classic_spec
from models.trees import Trees
from training.progress import SilentProgress
from training.trees_fit import TreeRows, fit_trees

SPEC = FeatureSpec(profile="text", dense=("price", "rating", "brand_bucket"))


def rows(n_rows: int, *, seed: int, with_text: bool, informative: bool) -> TreeRows:
    """Three classes; the text knows the class with an error that the price explains, or not."""
    random = np.random.default_rng(seed)
    targets = random.integers(0, 3, n_rows).astype(np.int32)
    dense = random.normal(size=(n_rows, SPEC.dense_width)).astype(np.float32)
    dense[random.random(n_rows) < 0.1, 1] = np.nan
    dense[:, 2] = random.integers(0, 50, n_rows)
    if informative:
        dense[:, 0] += 3 * targets
    scores = random.normal(size=(n_rows, 3))
    scores[np.arange(n_rows), targets] += 1.0
    return TreeRows(dense=dense, targets=targets, text_scores=scores if with_text else None)


def fit(*, with_text: bool, informative: bool, seed: int = 0) -> Trees:
    return fit_trees(
        rows(1500, seed=1, with_text=with_text, informative=informative),
        rows(500, seed=2, with_text=with_text, informative=informative),
        spec=SPEC,
        n_classes=3,
        seed=seed,
        progress=SilentProgress(),
    )


def accuracy(trees: Trees, on: TreeRows) -> float:
    scores = trees.raw_scores(on.dense)
    if on.text_scores is not None:
        scores = scores + on.text_scores
    hits: npt.NDArray[np.bool_] = scores.argmax(axis=1) == on.targets
    return float(hits.mean())


def test_trees_add_what_the_text_does_not_know() -> None:
    test = rows(1000, seed=3, with_text=True, informative=True)
    without = accuracy(Trees(model_text="", n_classes=3), test)

    assert without < 0.75
    assert accuracy(fit(with_text=True, informative=True), test) > without + 0.15


def test_no_trees_are_kept_where_they_do_not_help() -> None:
    assert fit(with_text=True, informative=False).n_trees == 0


def test_trees_alone_learn_from_the_dense_features() -> None:
    trees = fit(with_text=False, informative=True)

    assert accuracy(trees, rows(1000, seed=3, with_text=False, informative=True)) > 0.85


def test_fitting_again_gives_the_same_text() -> None:
    assert fit(with_text=True, informative=True).model_text == fit(with_text=True, informative=True).model_text


def test_the_hand_made_features_alone_can_be_fitted_with_their_hashed_columns_missing() -> None:
    spec = classic_spec(())
    random = np.random.default_rng(0)
    dense = np.full((200, spec.dense_width), np.nan, np.float32)
    dense[:, 10] = random.integers(0, 80, 200)
    targets = (dense[:, 10] > 40).astype(np.int32)
    train = TreeRows(dense=dense, targets=targets, text_scores=None)

    trees = fit_trees(train, train, spec=spec, n_classes=2, seed=0, progress=SilentProgress())

    assert accuracy(trees, train) > 0.95
