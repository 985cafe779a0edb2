from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import softmax

from training.calibration_choice import calibration_error, choose_calibration

Scores = npt.NDArray[np.float64]


def drawn(probabilities: Scores, seed: int = 3) -> npt.NDArray[np.int64]:
    uniform = np.random.default_rng(seed).random((len(probabilities), 1))
    classes: npt.NDArray[np.int64] = np.minimum(
        (probabilities.cumsum(axis=1) < uniform).sum(axis=1), probabilities.shape[1] - 1
    )
    return classes


def folds_of(n_rows: int) -> npt.NDArray[np.int8]:
    return (np.arange(n_rows) % 4).astype(np.int8)


SCORES = np.random.default_rng(1).normal(0, 4, (3000, 5))


def test_the_temperature_is_kept_where_nothing_is_better() -> None:
    choice = choose_calibration(SCORES, drawn(softmax(SCORES / 2, axis=1)), folds_of(3000))

    assert choice.method == "temperature"
    assert choice.calibration.temperature == pytest.approx(2, rel=0.1)
    assert choice.candidates["temperature"].gain == 0
    assert choice.candidates["temperature"].ece < 0.03


def test_classes_that_are_rarer_than_their_scores_say_get_biases() -> None:
    bias = np.array([2.0, -2.0, 1.0, -1.0, 0.0])
    choice = choose_calibration(SCORES, drawn(softmax(SCORES + bias, axis=1)), folds_of(3000))

    assert choice.method == "vector"
    assert choice.calibration.bias is not None


def test_labels_that_are_wrong_however_sure_the_scores_are_get_a_curve() -> None:
    sure = SCORES * 5
    classes = drawn(softmax(sure, axis=1))
    flipped = np.random.default_rng(4).random(3000) < 0.1
    classes[flipped] = np.random.default_rng(5).integers(0, 5, flipped.sum())
    choice = choose_calibration(sure, classes, folds_of(3000))

    assert choice.method == "beta"
    assert choice.candidates["beta"].ece < choice.candidates["temperature"].ece
    found = choice.to_json()["candidates"]
    assert isinstance(found, dict)
    assert set(found) == {"temperature", "vector", "beta"}
    assert set(found["beta"]) == {"log_loss", "gain", "gain_error", "ece"}


def test_biases_are_not_tried_with_few_rows_a_class() -> None:
    classes = drawn(softmax(SCORES[:200], axis=1))
    assert set(choose_calibration(SCORES[:200], classes, folds_of(200)).candidates) == {"temperature", "beta"}


def test_rows_in_one_fold_leave_the_temperature_uncompared() -> None:
    classes = drawn(softmax(SCORES[:50], axis=1))
    choice = choose_calibration(SCORES[:50], classes, np.zeros(50, np.int8))
    assert (choice.method, choice.candidates) == ("temperature", {})


def test_the_same_rows_give_the_same_choice() -> None:
    classes = drawn(softmax(SCORES, axis=1))
    one, other = (choose_calibration(SCORES, classes, folds_of(3000)) for _ in range(2))
    assert one.to_json() == other.to_json()
    assert one.calibration.temperature == other.calibration.temperature


def test_the_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    probabilities = np.tile([0.8, 0.2], (150, 1))
    classes = np.array([0] * 9 + [1])
    assert calibration_error(probabilities, np.tile(classes, 15)) == pytest.approx(0.1)
    assert calibration_error(np.zeros((0, 2)), np.zeros(0, np.int64)) == 0
