from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from models.taxonomy import Taxonomy
from training.thresholds import choose_threshold

TAXONOMY = Taxonomy((("a", "x"), ("a", "y"), ("b",)))
PATHS = pa.list_(pa.string())


def choose(
    probabilities: list[list[float]], truth: list[list[str]], target: float
) -> tuple[float, float, float, bool]:
    array: npt.NDArray[np.float64] = np.array(probabilities)
    chosen = choose_threshold(array, pa.array(truth, PATHS), TAXONOMY, target_precision=target)
    return chosen.value, chosen.coverage, chosen.precision, chosen.is_reached


def test_the_threshold_is_the_smallest_that_is_precise_enough() -> None:
    leaf = [[p, 0.0, 1 - p] for p in (0.6, 0.7, 0.8, 0.9)]
    truth = [["b"], ["a", "x"], ["a", "x"], ["a", "x"]]

    assert choose(leaf, truth, 0.75) == (0.5, 1.0, 0.75, True)
    assert choose(leaf, truth, 0.9) == (0.61, 0.75, 1.0, True)


def test_an_ancestor_that_is_published_counts_as_right() -> None:
    # No leaf passes one half, the root does; it is right, whichever of its leaves is true.
    torn = [[0.45, 0.4, 0.15]] * 4
    truth = [["a", "x"], ["a", "y"], ["a"], ["a", "z"]]

    assert choose(torn, truth, 0.95) == (0.5, 1.0, 1.0, True)


def test_what_is_more_likely_wrong_than_right_is_never_published() -> None:
    unsure = [[0.3, 0.1, 0.6], [0.2, 0.2, 0.6], [0.45, 0.0, 0.45]]
    truth = [["b"], ["b"], ["a", "x"]]

    value, coverage, precision, _ = choose(unsure, truth, 0.1)
    assert (value, precision) == (0.5, 1.0)
    assert coverage == pytest.approx(2 / 3)


def test_everything_goes_to_review_if_no_threshold_is_precise_enough() -> None:
    wrong = [[0.999999, 0.0, 0.000001]] * 3

    assert choose(wrong, [["b"]] * 3, 0.5) == (1.0, 0.0, 1.0, False)


def test_a_handful_of_lucky_rows_does_not_settle_the_threshold() -> None:
    noisy = [[0.9, 0.0, 0.1]] * 200 + [[0.97, 0.0, 0.03]] * 29
    truth = [["a", "x"] if row % 10 else ["b"] for row in range(200)] + [["a", "x"]] * 29

    assert choose(noisy, truth, 0.95) == (1.0, 0.0, 1.0, False)
    value, _, precision, is_reached = choose([*noisy, noisy[-1]], [*truth, truth[-1]], 0.95)
    assert (value, precision, is_reached) == (0.91, 1.0, True)
