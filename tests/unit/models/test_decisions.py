"""What is published, against the rule of `models.decisions` written out row by row."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.decisions import decide
from models.taxonomy import Path, Taxonomy
from schemas import columns
from schemas.errors import SetupError

TAXONOMY = Taxonomy((("A", "x"), ("A", "y", "1"), ("A", "y", "2"), ("B",), ("B", "z"), ("C",)))


def thresholds_of(threshold: float | dict[Path, float], taxonomy: Taxonomy) -> npt.NDArray[np.float64]:
    """Return the same for all nodes, or those given and 1 for the others."""
    if isinstance(threshold, dict):
        return np.array([threshold.get(path, 1.0) for path in taxonomy.nodes])
    return np.full(len(taxonomy.nodes), threshold)


def decide_one(
    probabilities: list[float], threshold: float | dict[Path, float], taxonomy: Taxonomy = TAXONOMY
) -> dict[str, object]:
    batch = decide(pa.array(["p"]), np.array([probabilities]), taxonomy, thresholds_of(threshold, taxonomy))
    batch.validate(full=True)
    assert batch.schema == columns.VERDICT
    row: dict[str, object] = batch.to_pylist()[0]
    return row


def oracle(
    probabilities: list[float], taxonomy: Taxonomy, thresholds: dict[Path, float]
) -> tuple[str, Path, float]:
    def total(path: Path) -> float:
        return sum(p for p, leaf in zip(probabilities, taxonomy.leaves, strict=True) if leaf[: len(path)] == path)

    best = max(range(len(probabilities)), key=lambda leaf: (probabilities[leaf], -leaf))
    if probabilities[best] >= thresholds[taxonomy.leaves[best]]:
        return "accepted", taxonomy.leaves[best], total(taxonomy.leaves[best])
    at: Path = ()
    deepest: Path = ()
    decision = "backed_off"
    while children := [node for node in taxonomy.nodes if node[:-1] == at]:
        at = max(children, key=lambda node: (total(node), -taxonomy.nodes.index(node)))
        if total(at) >= thresholds[at]:
            deepest = at
            decision = "backed_off" if any(node[:-1] == at for node in taxonomy.nodes) else "accepted"
    if deepest:
        return decision, deepest, total(deepest)
    return "review", taxonomy.leaves[best], total(taxonomy.leaves[best])


def test_a_leaf_that_passes_is_accepted_with_the_three_most_probable_leaves() -> None:
    assert decide_one([0.7, 0.05, 0.1, 0.0, 0.0, 0.15], 0.6) == {
        "product_id": "p",
        "category_path": ["A", "x"],
        "confidence": 0.7,
        "decision": "accepted",
        "alternatives": [
            {"category_path": ["A", "x"], "confidence": 0.7},
            {"category_path": ["C"], "confidence": 0.15},
            {"category_path": ["A", "y", "2"], "confidence": 0.1},
        ],
    }


def test_where_no_leaf_passes_the_deepest_ancestor_that_does_is_published() -> None:
    row = decide_one([0.1, 0.375, 0.375, 0.05, 0.05, 0.05], 0.7)
    assert (row["decision"], row["category_path"], row["confidence"]) == ("backed_off", ["A", "y"], 0.75)
    row = decide_one([0.25, 0.25, 0.25, 0.15, 0.05, 0.05], 0.7)
    assert (row["decision"], row["category_path"], row["confidence"]) == ("backed_off", ["A"], 0.75)


def test_an_ancestor_of_other_leaves_can_pass_where_the_most_probable_leaf_is_elsewhere() -> None:
    row = decide_one([0.25, 0.25, 0.125, 0.0, 0.0, 0.375], 0.6)
    assert (row["decision"], row["category_path"], row["confidence"]) == ("backed_off", ["A"], 0.625)


def test_where_nothing_passes_a_person_gets_the_most_probable_leaf() -> None:
    row = decide_one([0.2, 0.1, 0.1, 0.1, 0.1, 0.4], 0.6)
    assert (row["decision"], row["category_path"], row["confidence"]) == ("review", ["C"], 0.4)


def test_a_leaf_that_is_an_ancestor_is_accepted_by_itself_and_backed_off_to_with_what_lies_below() -> None:
    row = decide_one([0.0, 0.0, 0.0, 0.625, 0.25, 0.125], 0.6)
    assert (row["decision"], row["category_path"], row["confidence"]) == ("accepted", ["B"], 0.875)
    row = decide_one([0.0, 0.0, 0.0, 0.5, 0.375, 0.125], 0.6)
    assert (row["decision"], row["category_path"], row["confidence"]) == ("backed_off", ["B"], 0.875)
    row = decide_one([0.0, 0.0, 0.0, 0.25, 0.625, 0.125], 0.6)
    assert (row["decision"], row["category_path"], row["confidence"]) == ("accepted", ["B", "z"], 0.625)


def test_ties_go_to_the_lower_leaf_and_the_lower_node() -> None:
    row = decide_one([0.25, 0.0, 0.0, 0.25, 0.25, 0.25], 0.25)
    assert (row["decision"], row["category_path"]) == ("accepted", ["A", "x"])
    paths = [a["category_path"] for a in row["alternatives"]]  # type: ignore[attr-defined]  # a list of dicts
    assert paths == [["A", "x"], ["B"], ["B", "z"]]
    row = decide_one([0.25, 0.125, 0.125, 0.25, 0.25, 0.0], 0.375)
    assert (row["decision"], row["category_path"]) == ("backed_off", ["A"])


def test_a_probability_equal_to_the_threshold_passes() -> None:
    assert decide_one([0.5, 0.0, 0.0, 0.25, 0.25, 0.0], 0.5)["decision"] == "accepted"


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
def test_a_single_category_is_certain(threshold: float) -> None:
    row = decide_one([1.0], threshold, Taxonomy((("only", "one"),)))
    assert row["decision"] == "accepted"
    assert row["alternatives"] == [{"category_path": ["only", "one"], "confidence": 1.0}]


def test_a_sum_an_ulp_above_one_is_published_as_one() -> None:
    above = float(np.nextafter(1.0, 2.0))
    row = decide_one([above, 0, 0, 0, 0, 0], 0.5)
    assert row["confidence"] == 1.0
    assert row["alternatives"][0]["confidence"] == 1.0  # type: ignore[index]  # a list of dicts


def test_no_rows_give_no_decisions() -> None:
    batch = decide(pa.array([], pa.string()), np.zeros((0, 6)), TAXONOMY, thresholds_of(0.5, TAXONOMY))
    assert batch.num_rows == 0
    assert batch.schema == columns.VERDICT


def test_probabilities_of_other_shape_are_refused() -> None:
    with pytest.raises(SetupError, match=r"\(1, 5\) do not fit 1 products and 6 categories"):
        decide(pa.array(["p"]), np.zeros((1, 5)), TAXONOMY, thresholds_of(0.5, TAXONOMY))


def test_thresholds_of_another_taxonomy_are_refused() -> None:
    with pytest.raises(SetupError, match="6 thresholds do not fit 8 nodes"):
        decide(pa.array(["p"]), np.full((1, 6), 1 / 6), TAXONOMY, np.full(6, 0.5))


def test_each_node_has_a_threshold_of_its_own() -> None:
    probabilities = [0.625, 0.0625, 0.0625, 0.0, 0.0, 0.25]
    row = decide_one(probabilities, {("A", "x"): 0.625})
    assert (row["decision"], row["category_path"]) == ("accepted", ["A", "x"])
    row = decide_one(probabilities, {("A", "x"): 0.63, ("A",): 0.75})
    assert (row["decision"], row["category_path"], row["confidence"]) == ("backed_off", ["A"], 0.75)
    row = decide_one(probabilities, {("A", "x"): 0.63, ("A",): 0.76})
    assert (row["decision"], row["category_path"]) == ("review", ["A", "x"])


def test_a_node_that_passes_is_published_though_one_above_it_does_not() -> None:
    row = decide_one([0.0625, 0.375, 0.375, 0.0625, 0.0625, 0.0625], {("A", "y"): 0.75, ("A",): 0.9})
    assert (row["decision"], row["category_path"], row["confidence"]) == ("backed_off", ["A", "y"], 0.75)


def test_a_node_that_is_never_published_is_not_even_if_it_is_certain() -> None:
    never = decide_one([1.0, 0, 0, 0, 0, 0], {("A", "x"): np.inf, ("A",): 0.5})
    assert (never["decision"], never["category_path"], never["confidence"]) == ("backed_off", ["A"], 1.0)
    assert decide_one([1.0, 0, 0, 0, 0, 0], np.inf)["decision"] == "review"


paths = st.sets(
    st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4).map(tuple), min_size=1, max_size=10
)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Taxonomy, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Probabilities in 64ths: sums are exact, and ties are common. Equal thresholds half of the time."""
    taxonomy = Taxonomy(tuple(draw(paths)))
    rows = []
    for _ in range(draw(st.integers(0, 4))):
        cuts = draw(st.lists(st.integers(0, 64), min_size=taxonomy.n_leaves - 1, max_size=taxonomy.n_leaves - 1))
        rows.append(np.diff([0, *sorted(cuts), 64]) / 64)
    n_nodes = len(taxonomy.nodes)
    sixty_fourths = draw(
        st.integers(0, 65).map(lambda same: [same] * n_nodes)
        | st.lists(st.integers(0, 65), min_size=n_nodes, max_size=n_nodes)
    )
    return taxonomy, np.array(rows).reshape(len(rows), taxonomy.n_leaves), np.array(sixty_fourths) / 64


@settings(max_examples=200, deadline=None)
@given(cases())
def test_decisions_equal_the_rule_row_by_row(
    case: tuple[Taxonomy, npt.NDArray[np.float64], npt.NDArray[np.float64]],
) -> None:
    taxonomy, probabilities, thresholds = case
    of_node = dict(zip(taxonomy.nodes, thresholds.tolist(), strict=True))
    before = probabilities.copy()
    ids = [f"p{r}" for r in range(len(probabilities))]
    batch = decide(pa.array(ids, pa.string()), probabilities, taxonomy, thresholds)
    batch.validate(full=True)
    assert np.array_equal(probabilities, before)
    for row, values, product_id in zip(batch.to_pylist(), probabilities.tolist(), ids, strict=True):
        decision, path, confidence = oracle(values, taxonomy, of_node)
        assert (row["product_id"], row["decision"], tuple(row["category_path"])) == (product_id, decision, path)
        assert row["confidence"] == confidence
        assert decision == "review" or confidence >= of_node[path]
        order = sorted(range(len(values)), key=lambda leaf: (-values[leaf], leaf))[:3]
        expected = [{"category_path": list(taxonomy.leaves[i]), "confidence": values[i]} for i in order]
        assert row["alternatives"] == expected
        if thresholds.min() > 0.5:
            passing = [path for path in taxonomy.nodes if _total(values, taxonomy, path) >= of_node[path]]
            deepest = max(passing, key=len, default=None)
            assert (decision == "review") == (deepest is None)
            assert deepest is None or deepest == path
        alone = decide(pa.array([product_id]), np.array([values]), taxonomy, thresholds)
        assert alone.to_pylist() == [row]


@settings(max_examples=100, deadline=None)
@given(cases())
def test_equal_thresholds_decide_as_one_threshold_did(
    case: tuple[Taxonomy, npt.NDArray[np.float64], npt.NDArray[np.float64]],
) -> None:
    taxonomy, probabilities, thresholds = case
    threshold = float(thresholds[0])
    decisions = decide(
        pa.array([""] * len(probabilities), pa.string()),
        probabilities,
        taxonomy,
        thresholds_of(threshold, taxonomy),
    )
    for row, values in zip(decisions.to_pylist(), probabilities.tolist(), strict=True):
        at: Path = ()
        while children := [node for node in taxonomy.nodes if node[:-1] == at]:
            likeliest = max(
                children, key=lambda node: (_total(values, taxonomy, node), -taxonomy.nodes.index(node))
            )
            if _total(values, taxonomy, likeliest) < threshold:
                break
            at = likeliest
        if max(values) >= threshold:
            assert row["decision"] == "accepted"
            assert tuple(row["category_path"]) == taxonomy.leaves[int(np.argmax(values))]
        else:
            assert row["decision"] == ("backed_off" if at else "review")
            assert not at or tuple(row["category_path"]) == at


def _total(values: list[float], taxonomy: Taxonomy, path: Path) -> float:
    return sum(v for v, leaf in zip(values, taxonomy.leaves, strict=True) if leaf[: len(path)] == path)
