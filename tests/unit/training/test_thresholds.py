from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.decisions import decide
from models.taxonomy import Path, Taxonomy
from models.thresholds import NEVER
from training.thresholds import LADDER, ThresholdChoice, choose_thresholds
from training.true_paths import is_at_or_above, paths_of
from training.walks import walk

TAXONOMY = Taxonomy((("a", "x"), ("a", "y"), ("b",), ("c",)))
PATHS = pa.list_(pa.string())


def choose(rows: Sequence[tuple[list[float], Path]], target: float = 0.95) -> ThresholdChoice:
    probabilities = np.array([row for row, _ in rows]).reshape(len(rows), 4)
    truth = pa.array([list(path) for _, path in rows], PATHS)
    return choose_thresholds(walk(probabilities, truth, TAXONOMY), TAXONOMY, target_precision=target)


def threshold_of(choice: ThresholdChoice, path: Path) -> float:
    return float(choice.thresholds.nodes[TAXONOMY.nodes.index(path)])


A: Path = ("a",)
B: Path = ("b",)
C: Path = ("c",)
X: Path = ("a", "x")
Y: Path = ("a", "y")


def sure_of(leaf: int, confidence: float) -> list[float]:
    """Return probabilities with the rest spread over the other leaves."""
    rest = (1 - confidence) / 3
    return [confidence if k == leaf else rest for k in range(4)]


def test_a_category_with_many_rows_stands_for_itself() -> None:
    good = [(sure_of(2, 0.8), B)] * 400
    bad = [(sure_of(3, 0.8), C if row % 2 else B) for row in range(400)]
    choice = choose(good + bad)

    assert threshold_of(choice, B) < 0.8
    assert threshold_of(choice, C) > 0.8
    assert choice.precision == 1
    assert choice.coverage == 0.5


def test_the_threshold_lies_where_confidence_begins_to_be_right() -> None:
    rows = [(sure_of(2, 0.7), B if row % 3 else C) for row in range(300)]
    rows += [(sure_of(2, 0.9), B)] * 300
    assert 0.7 < threshold_of(choose(rows), B) <= 0.9


def test_a_leaf_with_eight_held_out_rows_is_not_published_on_its_own_evidence() -> None:
    choice = choose([(sure_of(3, 0.99), C)] * 8)

    assert threshold_of(choice, C) == NEVER
    assert choice.coverage == 0
    assert choice.not_published[0] == (C, 8)


def test_a_leaf_with_eight_rows_follows_what_holds_for_all() -> None:
    few = [(sure_of(3, 0.97), C)] * 8
    held = [(sure_of(2, 0.97), B)] * 2000
    broken = [(sure_of(2, 0.97), B if row % 10 else C) for row in range(2000)]

    assert threshold_of(choose(few + held), C) <= 0.97
    assert threshold_of(choose(few + broken), C) > 0.97


def test_a_leaf_without_any_row_gets_the_pooled_threshold() -> None:
    rows = [(sure_of(2, c), B if row % 40 else C) for row in range(3000) for c in (0.6, 0.99)]
    choice = choose(rows)
    assert threshold_of(choice, C) == threshold_of(choice, X) == choice.thresholds.pooled
    assert choice.thresholds.pooled < NEVER


def test_fewer_rows_are_promised_less() -> None:
    rows = [(sure_of(2, c / 1000), B if (c * 7919) % 1000 < c else C) for c in range(500, 1000)] * 12
    known, pooled = threshold_of(choose(rows), B), choose(rows).thresholds.pooled
    assert known <= pooled


def test_what_no_leaf_may_publish_falls_to_the_node_above() -> None:
    torn = [([0.55, 0.4, 0.03, 0.02], X if row % 2 else Y) for row in range(400)]
    choice = choose(torn)

    assert threshold_of(choice, X) > 0.55
    assert threshold_of(choice, A) <= 0.95
    assert (choice.coverage, choice.precision) == (1, 1)


def test_a_node_is_judged_by_the_rows_that_nothing_below_it_publishes() -> None:
    published = [(sure_of(0, 0.98), X)] * 600
    torn = [([0.5, 0.48, 0.01, 0.01], B if row % 4 == 0 else X) for row in range(200)]
    choice = choose(published + torn)

    node = TAXONOMY.nodes.index(A)
    assert choice.rows[node] == 200
    assert threshold_of(choice, A) > 0.98
    assert choice.coverage == 0.75


def test_what_is_more_likely_wrong_than_right_is_never_published() -> None:
    rows = [([0.3, 0.1, 0.45, 0.15], B)] * 500
    assert choose(rows, 0.1).coverage == 0


def test_categories_that_are_never_published_are_named_by_support() -> None:
    rows = [(sure_of(2, 0.9999), C)] * 300 + [(sure_of(3, 0.9999), B)] * 500 + [(sure_of(0, 0.9999), X)] * 900
    choice = choose(rows)

    assert [path for path, _ in choice.not_published][:2] == [C, B]
    assert dict(choice.not_published)[C] == 500
    as_json = choice.to_json(TAXONOMY)[TAXONOMY.nodes.index(C)]
    assert as_json == {"path": ["c"], "threshold": None, "rows": 500, "published": 0, "right": 0}


def test_without_rows_nothing_is_published() -> None:
    choice = choose([])
    assert (choice.coverage, choice.precision) == (0, 1)
    assert np.isinf(choice.thresholds.nodes).all()


@st.composite
def held_out(draw: st.DrawFn) -> tuple[npt.NDArray[np.float64], list[Path]]:
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    n_rows = draw(st.integers(1, 400))
    scores = random.normal(0, draw(st.floats(0.5, 6)), (n_rows, 4))
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    best = probabilities.argmax(axis=1)
    truth = np.where(random.random(n_rows) < draw(st.floats(0.5, 1)), best, random.integers(0, 4, n_rows))
    return probabilities, [TAXONOMY.leaves[k] for k in truth]


@settings(max_examples=40, deadline=None)
@given(held_out(), st.lists(st.sampled_from(LADDER), min_size=2, max_size=2, unique=True).map(sorted))
def test_a_higher_target_never_publishes_more_on_the_rows_it_was_chosen_on(
    rows: tuple[npt.NDArray[np.float64], list[Path]], targets: list[float]
) -> None:
    probabilities, paths = rows
    truth = pa.array([list(path) for path in paths], PATHS)
    walks = walk(probabilities, truth, TAXONOMY)
    low, high = (choose_thresholds(walks, TAXONOMY, target_precision=target) for target in targets)

    assert (high.thresholds.nodes >= low.thresholds.nodes).all()
    assert high.thresholds.pooled >= low.thresholds.pooled
    published = [
        np.array(decisions["decision"].to_pylist()) != "review"
        for decisions in (
            decide(pa.array([""] * len(paths)), probabilities, TAXONOMY, choice.thresholds.nodes)
            for choice in (low, high)
        )
    ]
    assert (published[0] | ~published[1]).all()


@settings(max_examples=40, deadline=None)
@given(held_out(), st.sampled_from((0.6, 0.9, 0.95, 0.955)))
def test_what_is_said_of_the_rows_is_what_is_decided_on_them(
    rows: tuple[npt.NDArray[np.float64], list[Path]], target: float
) -> None:
    probabilities, paths = rows
    truth = pa.array([list(path) for path in paths], PATHS)
    choice, again = (
        choose_thresholds(walk(probabilities, truth, TAXONOMY), TAXONOMY, target_precision=target)
        for _ in range(2)
    )
    assert np.array_equal(choice.thresholds.nodes, again.thresholds.nodes)

    decisions = decide(pa.array([""] * len(paths)), probabilities, TAXONOMY, choice.thresholds.nodes)
    published = np.array(decisions["decision"].to_pylist()) != "review"
    right = is_at_or_above(decisions["category_path"], truth) & published
    assert choice.coverage == pytest.approx(published.mean())
    assert choice.right.sum() == right.sum()
    for node, path in enumerate(TAXONOMY.nodes):
        here = published & np.array([p == path for p in paths_of(decisions["category_path"])], np.bool_)
        assert (choice.published[node], choice.right[node]) == (here.sum(), (right & here).sum())
