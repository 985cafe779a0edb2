"""The curves, against `decide` at every threshold that could make a difference."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.decisions import decide
from models.taxonomy import Path, Taxonomy
from training import walks
from training.risk_coverage import RiskCurve, risk_coverage
from training.true_paths import is_at_or_above
from training.walks import walk

PATHS = pa.list_(pa.string())
TAXONOMY = Taxonomy((("A", "x"), ("A", "y", "1"), ("A", "y", "2"), ("B",), ("B", "z"), ("C",)))


def test_a_leaf_is_worth_its_confidence_and_an_ancestor_covers_what_no_leaf_does() -> None:
    taxonomy = Taxonomy((("a", "x"), ("a", "y"), ("b",)))
    curves = risk_coverage(
        np.array([[0.75, 0.125, 0.125], [0.5, 0.25, 0.25]]), pa.array([["a", "x"], ["a", "y"]], PATHS), taxonomy
    )

    assert points(curves.leaf) == [(0.75, 0.5, 0.0), (0.5, 1.0, 0.5)]
    assert points(curves.any_level) == [(0.875, 0.5, 0.0), (0.75, 1.0, 0.0), (0.5, 1.0, 0.5)]


def test_without_rows_there_are_no_points() -> None:
    curves = risk_coverage(np.zeros((0, 6)), pa.array([], PATHS), TAXONOMY)

    assert points(curves.leaf) == points(curves.any_level) == []


def test_walks_do_not_depend_on_how_many_rows_are_summed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    probabilities = np.random.default_rng(0).dirichlet(np.ones(6), 20)
    truth = pa.array([list(TAXONOMY.nodes[row % len(TAXONOMY.nodes)]) for row in range(20)], PATHS)
    whole = walk(probabilities, truth, TAXONOMY)
    monkeypatch.setattr(walks, "_SUMS_AT_ONCE", 3 * len(TAXONOMY.nodes))
    in_parts = walk(probabilities, truth, TAXONOMY)

    for field in fields(whole):
        assert getattr(whole, field.name).tobytes() == getattr(in_parts, field.name).tobytes()


taxonomies = st.sets(
    st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3).map(tuple), min_size=1, max_size=8
).map(lambda paths: Taxonomy(tuple(paths)))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Taxonomy, npt.NDArray[np.float64], list[Path]]:
    """Probabilities in 64ths: sums are exact, and ties are common."""
    taxonomy = draw(taxonomies)
    rows, truth = [], []
    for _ in range(draw(st.integers(1, 6))):
        cuts = draw(st.lists(st.integers(0, 64), min_size=taxonomy.n_leaves - 1, max_size=taxonomy.n_leaves - 1))
        rows.append(np.diff([0, *sorted(cuts), 64]) / 64)
        truth.append(draw(st.sampled_from([*taxonomy.nodes, ("d",), (*taxonomy.nodes[0], "new")])))
    return taxonomy, np.array(rows), truth


@settings(max_examples=60, deadline=None)
@given(cases(), st.sets(st.integers(1, 64), min_size=1, max_size=6))
def test_at_every_threshold_the_curves_count_what_is_decided(
    case: tuple[Taxonomy, npt.NDArray[np.float64], list[Path]], sixty_fourths: set[int]
) -> None:
    taxonomy, probabilities, paths = case
    truth = pa.array([list(path) for path in paths], PATHS)
    before = probabilities.copy()
    curves = risk_coverage(probabilities, truth, taxonomy)

    assert np.array_equal(probabilities, before)
    for curve in (curves.leaf, curves.any_level):
        assert (np.diff(curve.threshold) < 0).all()
        assert (np.diff(curve.coverage) >= 0).all()
        assert curve.coverage[-1] == 1
    for threshold in {*curves.any_level.threshold.tolist(), *(number / 64 for number in sixty_fourths)} - {0.0}:
        thresholds = np.full(len(taxonomy.nodes), threshold)
        decisions = decide(pa.array([""] * len(paths)), probabilities, taxonomy, thresholds)
        code = np.array(decisions["decision"].to_pylist())
        is_right = is_at_or_above(decisions["category_path"], truth)
        assert_is_point(curves.leaf, threshold, code == "accepted", is_right)
        assert_is_point(curves.any_level, threshold, code != "review", is_right)
        is_published, is_true = walk(probabilities, truth, taxonomy).published_at(threshold)
        assert np.array_equal(is_published, code != "review")
        assert np.array_equal(is_true[is_published], is_right[is_published])


def assert_is_point(
    curve: RiskCurve, threshold: float, published: npt.NDArray[np.bool_], is_right: npt.NDArray[np.bool_]
) -> None:
    at = np.nonzero(curve.threshold >= threshold)[0]
    assert published.any() == (len(at) > 0)
    if len(at):
        assert curve.coverage[at[-1]] == published.mean()
        assert curve.risk[at[-1]] == (published & ~is_right).sum() / published.sum()


def points(curve: RiskCurve) -> list[tuple[float, float, float]]:
    return list(zip(curve.threshold.tolist(), curve.coverage.tolist(), curve.risk.tolist(), strict=True))
