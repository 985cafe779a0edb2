from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import softmax

from models.calibration import Calibration, TopCurve, fit_temperature, fit_top_curve
from schemas.errors import SetupError

score_rows = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9),
    elements=st.floats(-500, 500),
)


@settings(max_examples=60, deadline=None)
@given(score_rows, st.floats(0.1, 10))
def test_probabilities_are_a_softmax_whose_rows_add_to_one(
    scores: npt.NDArray[np.float64], temperature: float
) -> None:
    bias = np.linspace(-1, 1, scores.shape[1])
    calibration = Calibration(temperature=temperature, bias=bias)
    before = scores.copy()
    probabilities = calibration.probabilities(scores)
    np.testing.assert_allclose(probabilities, softmax(scores / temperature + bias, axis=1), rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    assert np.array_equal(scores, before)
    alone = [calibration.probabilities(scores[r : r + 1])[0] for r in range(len(scores))]
    assert np.array_equal(probabilities, alone)


def held_out(
    temperature: float, bias: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return scores of 4,000 rows and classes drawn from softmax(scores / temperature + bias)."""
    random = np.random.default_rng(3)
    scores = random.normal(0, 4, (4000, len(bias)))
    uniform = random.random((4000, 1))
    classes = (softmax(scores / temperature + bias, axis=1).cumsum(axis=1) < uniform).sum(axis=1)
    return scores, np.minimum(classes, len(bias) - 1).astype(np.int64)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_labels_is_found(temperature: float) -> None:
    scores, classes = held_out(temperature, np.zeros(4))
    fitted = fit_temperature(scores, classes)
    assert fitted.bias is None
    assert fitted.temperature == pytest.approx(temperature, rel=0.1)
    assert fit_temperature(scores, classes).temperature == fitted.temperature


def test_the_biases_that_made_the_labels_are_found() -> None:
    bias = np.array([0.8, -0.6, 0.3, -0.5])
    scores, classes = held_out(2.0, bias)
    fitted = fit_temperature(scores, classes, with_bias=True)
    assert fitted.temperature == pytest.approx(2.0, rel=0.1)
    assert fitted.bias is not None
    np.testing.assert_allclose(fitted.bias - fitted.bias.mean(), bias - bias.mean(), atol=0.15)


def test_a_class_without_held_out_rows_keeps_a_finite_bias() -> None:
    scores, classes = held_out(1.0, np.zeros(3))
    few = classes < 2
    fitted = fit_temperature(scores[few], classes[few], with_bias=True)
    assert fitted.bias is not None
    assert np.isfinite(fitted.bias).all()


def test_without_held_out_rows_the_scores_stay_as_they_are() -> None:
    assert fit_temperature(np.zeros((0, 3)), np.zeros(0, np.int64)).temperature == 1


@pytest.mark.parametrize(("right", "lowest", "highest"), [(True, 0.05, 0.2), (False, 40, 50)])
def test_held_out_rows_that_are_all_right_or_all_wrong_give_a_bounded_temperature(
    right: bool, lowest: float, highest: float
) -> None:
    classes = np.arange(3) if right else np.array([1, 2, 0])
    assert lowest <= fit_temperature(np.eye(3) * 5, classes).temperature <= highest


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_a_temperature_that_is_none_is_refused(temperature: float) -> None:
    with pytest.raises(SetupError, match="temperature"):
        Calibration(temperature=temperature)


def test_biases_of_another_model_are_refused() -> None:
    with pytest.raises(SetupError, match="2 calibration biases do not fit 3 classes"):
        Calibration(bias=np.zeros(2)).probabilities(np.zeros((1, 3)))
    with pytest.raises(SetupError, match="not finite"):
        Calibration(bias=np.array([np.nan]))


@settings(max_examples=60, deadline=None)
@given(score_rows, st.floats(0, 3), st.floats(0, 3), st.floats(-3, 3))
def test_a_curve_maps_the_highest_probability_and_scales_the_others(
    scores: npt.NDArray[np.float64], a: float, b: float, shift: float
) -> None:
    plain = Calibration().probabilities(scores)
    bent = Calibration(top_curve=TopCurve(a=a, b=b, shift=shift)).probabilities(scores)
    np.testing.assert_allclose(bent.sum(axis=1), 1, rtol=1e-9)
    assert ((bent >= 0) & (bent <= 1)).all()
    for before, after in zip(plain, bent, strict=True):
        best = int(before.argmax())
        others = np.delete(before, best)
        if others.sum() > 1e-12:
            odds = a * np.log(before[best]) - b * np.log(others.sum()) + shift
            assert after[best] == pytest.approx(1 / (1 + np.exp(-odds)), rel=1e-9)
            np.testing.assert_allclose(
                np.delete(after, best), others / others.sum() * (1 - after[best]), rtol=1e-6, atol=1e-15
            )
    alone = [
        Calibration(top_curve=TopCurve(a=a, b=b, shift=shift)).probabilities(scores[r : r + 1])[0]
        for r in range(len(scores))
    ]
    assert np.array_equal(bent, alone)


def test_a_curve_of_ones_changes_nothing() -> None:
    scores = np.random.default_rng(1).normal(0, 3, (50, 4))
    bent = Calibration(top_curve=TopCurve(a=1.0, b=1.0, shift=0.0)).probabilities(scores)
    np.testing.assert_allclose(bent, Calibration().probabilities(scores), rtol=1e-12)


def test_a_row_that_leaves_nothing_for_the_other_classes_stays_as_it_is() -> None:
    row = np.array([[0.0, -2000.0, -2000.0]])
    assert Calibration(top_curve=TopCurve(a=0.5, b=0.5, shift=-1)).probabilities(row).tolist() == [[1.0, 0.0, 0.0]]


def test_the_curve_finds_labels_that_are_wrong_however_sure_the_scores_are() -> None:
    random = np.random.default_rng(3)
    scores = random.normal(0, 12, (4000, 4))
    classes = scores.argmax(axis=1)
    wrong = random.random(4000) < 0.1
    classes[wrong] = (classes[wrong] + 1) % 4
    fitted = fit_top_curve(scores, classes.astype(np.int64))
    assert fitted.top_curve == fit_top_curve(scores, classes.astype(np.int64)).top_curve
    assert fitted.probabilities(scores).max(axis=1).mean() == pytest.approx(0.9, abs=0.01)


def test_a_curve_of_no_rows_or_of_one_class_is_none() -> None:
    assert fit_top_curve(np.zeros((0, 3)), np.zeros(0, np.int64)).top_curve is None
    assert fit_top_curve(np.zeros((5, 1)), np.zeros(5, np.int64)).top_curve is None


def test_rows_that_are_all_right_give_a_finite_curve() -> None:
    curve = fit_top_curve(np.eye(3) * 5, np.arange(3)).top_curve
    assert curve is not None
    assert 0 < curve.a < 10
    assert 0 < curve.b < 10


@pytest.mark.parametrize(
    "numbers", [(-1.0, 1.0, 0.0), (1.0, -0.1, 0.0), (1.0, 1.0, math.nan), (math.inf, 1.0, 0.0)]
)
def test_a_curve_that_turns_confidence_round_is_refused(numbers: tuple[float, float, float]) -> None:
    with pytest.raises(SetupError, match="curve"):
        TopCurve(a=numbers[0], b=numbers[1], shift=numbers[2])
