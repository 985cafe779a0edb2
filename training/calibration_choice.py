"""Which way of calibrating suits a model: chosen by cross-validation on held-out rows.

Candidates, simplest first: `temperature`; `vector`, a temperature and a bias for each class; `beta`, a temperature
and a curve for the most probable class. A way with more parameters has to be better than the temperature by more
than the standard error of the difference: without that, noise would decide.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from models.calibration import Calibration, fit_temperature, fit_top_curve
from training.confidence_bins import confidence_bins

Scores = npt.NDArray[np.float64]
Classes = npt.NDArray[np.int64]

_WAYS: Final[Mapping[str, Callable[[Scores, Classes], Calibration]]] = {
    "temperature": fit_temperature,
    "vector": lambda scores, classes: fit_temperature(scores, classes, with_bias=True),
    "beta": fit_top_curve,
}

#: A bias for each class is tried with that many rows a class, on average. With fewer it never was better.
_ROWS_PER_BIAS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """How a way of calibrating did on rows that it was not fitted on.

    Attributes:
        log_loss: mean over the rows.
        gain: how much lower that is than with the temperature.
        gain_error: standard error of `gain`.
        ece: expected calibration error of the most probable class, over 15 bins of as many rows each.
    """

    log_loss: float
    gain: float
    gain_error: float
    ece: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationChoice:
    """The calibration, fitted on all rows, and what was compared.

    Attributes:
        method: name of the way that was chosen.
        calibration: fitted.
        candidates: by name; none if the rows are all in one fold.
    """

    method: str
    calibration: Calibration
    candidates: Mapping[str, Candidate]

    def to_json(self) -> dict[str, object]:
        """Return the method and the figures of each candidate."""
        return {"method": self.method, "candidates": {name: asdict(one) for name, one in self.candidates.items()}}


def choose_calibration(scores: Scores, classes: Classes, folds: npt.NDArray[np.int8]) -> CalibrationChoice:
    """Choose and fit: held-out `scores` (n_rows, n_classes), the true class and the fold of each row.

    Rows of one group belong into one fold. Deterministic.
    """
    names = [name for name in _WAYS if name != "vector" or len(scores) >= _ROWS_PER_BIAS * scores.shape[1]]
    candidates: dict[str, Candidate] = {}
    if len(np.unique(folds)) > 1:
        held_out = {name: _held_out(_WAYS[name], scores, classes, folds) for name in names}
        losses = {name: _losses(probabilities, classes) for name, probabilities in held_out.items()}
        for name, probabilities in held_out.items():
            gains = losses["temperature"] - losses[name]
            candidates[name] = Candidate(
                log_loss=float(losses[name].mean()),
                gain=float(gains.mean()),
                gain_error=float(gains.std() / math.sqrt(len(gains))),
                ece=calibration_error(probabilities, classes),
            )
    better = [name for name, one in candidates.items() if one.gain > one.gain_error]
    method = min(better, key=lambda name: candidates[name].log_loss, default="temperature")
    return CalibrationChoice(method=method, calibration=_WAYS[method](scores, classes), candidates=candidates)


def calibration_error(probabilities: Scores, classes: npt.NDArray[np.integer]) -> float:
    """Return the expected calibration error of the most probable class, over 15 bins of as many rows each."""
    best = probabilities.argmax(axis=1)
    confidence = probabilities[np.arange(len(best)), best]
    gaps = confidence - (best == classes)
    return float(sum(abs(gaps[rows].sum()) for rows in confidence_bins(confidence))) / max(len(best), 1)


def _held_out(
    fit: Callable[[Scores, Classes], Calibration], scores: Scores, classes: Classes, folds: npt.NDArray[np.int8]
) -> Scores:
    probabilities = np.empty(scores.shape)
    for fold in np.unique(folds):
        inside = folds == fold
        probabilities[inside] = fit(scores[~inside], classes[~inside]).probabilities(scores[inside])
    return probabilities


def _losses(probabilities: Scores, classes: Classes) -> npt.NDArray[np.float64]:
    of_truth = probabilities[np.arange(len(classes)), classes]
    return -np.log(np.maximum(of_truth, np.finfo(np.float64).tiny))
