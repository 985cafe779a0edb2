from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import softmax

from models.calibration import Calibration, fit_temperature
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
