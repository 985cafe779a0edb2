"""Scores to probabilities that mean what they say.

A model that separates its training rows well is sure of too much. One temperature, fitted by log loss on rows that
the scores were not fitted on, puts most of that right. A bias for each class can be added, or a curve that maps
the probability of the most probable class to how often it is right: `training.calibration_choice` chooses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit

from schemas.errors import SetupError

_LOG_TEMPERATURES: Final = (
    math.log(0.05),
    math.log(50.0),
)  # Beyond these, held-out rows say nothing (all right or all wrong).
_BIAS_PENALTY: Final = (
    1.0  # Half the square of a bias, in rows: a class of a few held-out rows keeps a bias near 0.
)
#: Half the square of what a curve differs from none, in rows: rows that are all right leave it where it is.
_CURVE_PENALTY: Final = 1.0
#: Below this, what is left for the other classes is rounded to nothing, and the logarithm is not finite.
_LEAST_REST: Final = 1e-300


@dataclass(frozen=True, slots=True, kw_only=True)
class TopCurve:
    """Beta calibration of the highest probability p of a row: its log odds become a ln p - b ln(1 - p) + shift.

    The others are scaled, so that the row still adds up to 1; another class can become the most probable. Kull,
    Silva Filho and Flach, "Beta calibration", AISTATS 2017.

    Attributes:
        a, b: at least 0, so that more sure stays more sure; 1, 1 and a shift of 0 change nothing.
        shift: finite.
    """

    a: float
    b: float
    shift: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.a + self.b + self.shift) and self.a >= 0 and self.b >= 0):
            raise SetupError(
                f"The calibration curve is {self.a}, {self.b}, {self.shift}; needed are two finite numbers from 0 "
                "and a finite shift."
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """softmax(scores / temperature + bias), then the curve.

    Attributes:
        temperature: above 0; 1 leaves the scores as they are, more makes them less sure.
        bias: float64 (n_classes), or None for none.
        top_curve: maps the highest probability of each row; None leaves it.
    """

    temperature: float = 1.0
    bias: npt.NDArray[np.float64] | None = None
    top_curve: TopCurve | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise SetupError(
                f"The calibration temperature is {self.temperature}; needed is a finite number above 0."
            )
        if self.bias is not None and (self.bias.dtype != np.float64 or self.bias.ndim != 1):
            raise SetupError("The calibration biases must be one row of float64.")
        if self.bias is not None and not np.isfinite(self.bias).all():
            raise SetupError("A calibration bias is not finite.")

    def probabilities(self, scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return float64 (n, n_classes), rows that add up to 1; the scores are not changed.

        Each row is computed alone and in class order, so it does not depend on the rows around it.
        """
        bias = np.zeros(scores.shape[1]) if self.bias is None else self.bias
        if len(bias) != scores.shape[1]:
            raise SetupError(f"{len(bias)} calibration biases do not fit {scores.shape[1]} classes.")
        probabilities = np.empty(scores.shape, np.float64)
        _softmax(np.ascontiguousarray(scores, np.float64), 1.0 / self.temperature, bias, probabilities)
        if self.top_curve is not None:
            _bend_top(probabilities, self.top_curve.a, self.top_curve.b, self.top_curve.shift)
        return probabilities


def fit_temperature(
    scores: npt.NDArray[np.float64], classes: npt.NDArray[np.int64], *, with_bias: bool = False
) -> Calibration:
    """Fit on held-out rows: scores (n, n_classes), and the true class of each row.

    Deterministic. Without rows there is nothing to learn from: temperature 1, no bias.
    """
    if not len(scores):
        return Calibration()
    from scipy import optimize  # takes a second to import, and a worker fits nothing

    def loss(log_temperature: float) -> float:
        return _log_loss(scores * math.exp(-log_temperature), classes)

    found = optimize.minimize_scalar(loss, bounds=_LOG_TEMPERATURES, method="bounded", options={"xatol": 1e-6})
    temperature = math.exp(float(found.x))
    if not with_bias:
        return Calibration(temperature=temperature)
    return _fit_both(scores, classes, temperature)


def fit_top_curve(scores: npt.NDArray[np.float64], classes: npt.NDArray[np.int64]) -> Calibration:
    """Fit a temperature, and then the curve of the most probable class, by log loss of whether it is right.

    As `fit_temperature`: deterministic, and nothing is changed without rows.
    """
    plain = fit_temperature(scores, classes)
    if not len(scores) or scores.shape[1] < 2:
        return plain
    from scipy import optimize, special  # as above

    probabilities = plain.probabilities(scores)
    best = probabilities.argmax(axis=1)
    is_right = (best == classes).astype(np.float64)
    rows = np.arange(len(best))
    top = probabilities[rows, best]
    probabilities[rows, best] = 0.0
    rest = np.maximum(probabilities.sum(axis=1), _LEAST_REST)
    logs = np.column_stack([np.log(top), -np.log(rest), np.ones(len(top))])
    start = np.array([1.0, 1.0, 0.0])
    penalty = _CURVE_PENALTY / len(top)

    def loss_and_gradient(at: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        odds = logs @ at
        loss = float((np.logaddexp(0.0, odds) - is_right * odds).mean())
        gradient = logs.T @ (special.expit(odds) - is_right) / len(odds)
        return loss + 0.5 * penalty * float(((at - start) ** 2).sum()), gradient + penalty * (at - start)

    found = optimize.minimize(
        loss_and_gradient, start, jac=True, method="L-BFGS-B", bounds=[(0, None), (0, None), (None, None)]
    )
    a, b, shift = (float(number) for number in found.x)
    return Calibration(temperature=plain.temperature, top_curve=TopCurve(a=a, b=b, shift=shift))


def _fit_both(scores: npt.NDArray[np.float64], classes: npt.NDArray[np.int64], temperature: float) -> Calibration:
    n_rows, n_classes = scores.shape
    truth = np.zeros((n_rows, n_classes))
    truth[np.arange(n_rows), classes] = 1.0

    def loss_and_gradient(at: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        inverse, bias = at[0], at[1:]
        scaled = scores * inverse + bias
        probabilities = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        excess = (probabilities - truth) / n_rows
        penalty = _BIAS_PENALTY / n_rows
        gradient = np.concatenate([[float((excess * scores).sum())], excess.sum(axis=0) + penalty * bias])
        return _log_loss(scaled, classes) + 0.5 * penalty * float(bias @ bias), gradient

    from scipy import optimize  # as above

    low, high = (math.exp(-x) for x in reversed(_LOG_TEMPERATURES))
    found = optimize.minimize(
        loss_and_gradient,
        np.concatenate([[1.0 / temperature], np.zeros(n_classes)]),
        jac=True,
        method="L-BFGS-B",
        bounds=[(low, high), *[(None, None)] * n_classes],
    )
    return Calibration(temperature=1.0 / float(found.x[0]), bias=np.asarray(found.x[1:], np.float64))


def _log_loss(scores: npt.NDArray[np.float64], classes: npt.NDArray[np.int64]) -> float:
    highest = scores.max(axis=1)
    log_sums = np.log(np.exp(scores - highest[:, None]).sum(axis=1)) + highest
    return float((log_sums - scores[np.arange(len(scores)), classes]).mean())


@njit(cache=True, nogil=True)
def _softmax(
    scores: npt.NDArray[np.float64],
    inverse_temperature: float,
    bias: npt.NDArray[np.float64],
    probabilities: npt.NDArray[np.float64],
) -> None:
    n_classes = scores.shape[1]
    for row in range(scores.shape[0]):
        highest = -np.inf
        for k in range(n_classes):
            scaled = scores[row, k] * inverse_temperature + bias[k]
            probabilities[row, k] = scaled
            highest = max(highest, scaled)
        total = 0.0
        for k in range(n_classes):
            probabilities[row, k] = math.exp(probabilities[row, k] - highest)
            total += probabilities[row, k]
        for k in range(n_classes):
            probabilities[row, k] /= total


@njit(cache=True, nogil=True)
def _bend_top(probabilities: npt.NDArray[np.float64], a: float, b: float, shift: float) -> None:
    """Map the highest probability of each row, and scale the others to what is left. In place."""
    n_classes = probabilities.shape[1]
    for row in range(probabilities.shape[0]):
        best = 0
        for k in range(1, n_classes):
            if probabilities[row, k] > probabilities[row, best]:
                best = k
        rest = 0.0  # 1 minus the highest would lose the digits that matter
        for k in range(n_classes):
            if k != best:
                rest += probabilities[row, k]
        if not rest >= _LEAST_REST:
            continue
        odds = a * math.log(probabilities[row, best]) - b * math.log(rest) + shift
        scale = 1.0 / (1.0 + math.exp(odds)) / rest
        for k in range(n_classes):
            probabilities[row, k] *= scale
        probabilities[row, best] = 1.0 / (1.0 + math.exp(-odds))
