from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import lightgbm
import numpy as np
import numpy.typing as npt
import pytest

from models.trees import TREES_PER_SUM, Trees
from schemas.errors import SetupError

N_CLASSES = 3


@pytest.fixture(scope="module")
def dense() -> npt.NDArray[np.float32]:
    random = np.random.default_rng(1)
    dense = random.random((90, 4)).astype(np.float32)
    dense[random.random(dense.shape) < 0.1] = np.nan
    return dense


def fit(dense: npt.NDArray[np.float32], *, n_rounds: int, n_threads: int = 1) -> lightgbm.Booster:
    classes = np.random.default_rng(2).integers(0, N_CLASSES, len(dense))
    parameters = {
        "objective": "multiclass",
        "num_class": N_CLASSES,
        "num_leaves": 4,
        "verbosity": -1,
        "num_threads": n_threads,
        "deterministic": True,
    }
    return lightgbm.train(parameters, lightgbm.Dataset(dense, classes), num_boost_round=n_rounds)


def test_the_chunks_add_up_to_the_whole_prediction(dense: npt.NDArray[np.float32]) -> None:
    booster = fit(dense, n_rounds=150)
    trees = Trees.from_booster(booster, n_classes=N_CLASSES)
    assert trees.n_trees == 450 > 2 * TREES_PER_SUM
    assert trees.n_features == 4
    np.testing.assert_allclose(
        trees.raw_scores(dense), booster.predict(dense, raw_score=True), rtol=1e-12, atol=1e-12
    )


def test_a_batch_scores_bit_for_bit_as_its_rows_alone_and_in_threads(dense: npt.NDArray[np.float32]) -> None:
    trees = Trees.from_booster(fit(dense, n_rounds=150), n_classes=N_CLASSES)
    together = trees.raw_scores(dense)
    alone = [trees.raw_scores(dense[row : row + 1])[0] for row in range(12)]
    assert np.array_equal(together[:12], alone)
    with ThreadPoolExecutor(4) as pool:
        for scores in pool.map(trees.raw_scores, [dense] * 40):
            assert np.array_equal(scores, together)


def test_no_trees_score_zero(dense: npt.NDArray[np.float32]) -> None:
    trees = Trees(model_text="", n_classes=2)
    assert trees.n_trees == 0
    assert trees.n_features is None
    assert not trees.raw_scores(dense).any()
    assert trees.raw_scores(dense).shape == (90, 2)
    assert Trees.from_booster(fit(dense, n_rounds=2), n_classes=N_CLASSES, n_iterations=0).model_text == ""


def test_an_empty_batch_has_no_scores(dense: npt.NDArray[np.float32]) -> None:
    trees = Trees.from_booster(fit(dense, n_rounds=2), n_classes=N_CLASSES)
    assert trees.raw_scores(dense[:0]).shape == (0, N_CLASSES)


def test_the_first_iterations_can_be_kept(dense: npt.NDArray[np.float32]) -> None:
    booster = fit(dense, n_rounds=10)
    trees = Trees.from_booster(booster, n_classes=N_CLASSES, n_iterations=4)
    assert trees.n_trees == 4 * N_CLASSES
    expected = booster.predict(dense, raw_score=True, num_iteration=4)
    np.testing.assert_allclose(trees.raw_scores(dense), expected, rtol=1e-12)


def test_the_text_does_not_tell_how_many_threads_fitted_the_trees(dense: npt.NDArray[np.float32]) -> None:
    texts = [
        Trees.from_booster(fit(dense, n_rounds=3, n_threads=n), n_classes=N_CLASSES).model_text for n in (1, 2)
    ]
    assert texts[0] == texts[1]
    assert "num_threads" not in texts[0]


def test_a_text_that_is_no_model_or_only_half_of_one_is_refused(dense: npt.NDArray[np.float32]) -> None:
    text = Trees.from_booster(fit(dense, n_rounds=3), n_classes=N_CLASSES).model_text
    for damaged in ("no trees here", text[:200], text[: len(text) // 2], text.replace("Tree=1", "Tree=10")):
        with pytest.raises(SetupError, match=r"damaged|format"):
            Trees(model_text=damaged, n_classes=N_CLASSES)


def test_another_number_of_classes_is_refused(dense: npt.NDArray[np.float32]) -> None:
    text = Trees.from_booster(fit(dense, n_rounds=1), n_classes=N_CLASSES).model_text
    with pytest.raises(SetupError, match="score 3 classes and the model has 4"):
        Trees(model_text=text, n_classes=4)
