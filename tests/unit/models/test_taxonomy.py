from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.taxonomy import Taxonomy
from schemas.errors import SetupError

labels = st.sampled_from(["a", "b", "ab", "B", "é", "a b", "a > b"])
path_sets = st.sets(st.lists(labels, min_size=1, max_size=4).map(tuple), min_size=1, max_size=12)


def test_leaves_are_sorted_as_tuples_not_as_joined_text() -> None:
    taxonomy = Taxonomy((("a b",), ("a", "z"), ("a",)))
    assert taxonomy.leaves == (("a",), ("a", "z"), ("a b",))
    assert taxonomy.index_of(("a", "z")) == 1
    with pytest.raises(KeyError):
        taxonomy.index_of(("z",))


def test_a_leaf_that_is_an_ancestor_keeps_its_own_probability_and_its_node_sums_both() -> None:
    taxonomy = Taxonomy((("a",), ("a", "x"), ("b",)))
    assert taxonomy.nodes == (("a",), ("a", "x"), ("b",))
    sums = taxonomy.node_probabilities(np.array([[0.25, 0.5, 0.25]]))
    assert sums.tolist() == [[0.75, 0.5, 0.25]]
    assert taxonomy.node_leaf.tolist() == [0, 1, 2]


def test_a_node_that_is_no_leaf_is_marked() -> None:
    taxonomy = Taxonomy((("a", "x", "1"), ("a", "x", "2"), ("b",)))
    assert taxonomy.nodes == (("a",), ("a", "x"), ("a", "x", "1"), ("a", "x", "2"), ("b",))
    assert taxonomy.node_leaf.tolist() == [-1, -1, 0, 1, 2]
    assert taxonomy.node_stop.tolist() == [4, 4, 3, 4, 5]


@pytest.mark.parametrize("leaves", [(), ((),), (("a", ""),), (("a",), ("a",))])
def test_what_is_no_set_of_paths_is_refused(leaves: tuple[tuple[str, ...], ...]) -> None:
    with pytest.raises(SetupError):
        Taxonomy(leaves)


def test_the_version_follows_the_set_of_paths_and_nothing_else() -> None:
    one = Taxonomy((("a", "x"), ("b",)))
    assert one.version == Taxonomy((("b",), ("a", "x"))).version
    assert one == Taxonomy((("b",), ("a", "x")))
    assert one.version != Taxonomy((("a",), ("b",))).version
    assert one.version != Taxonomy((("a", "x", "b"),)).version
    assert len(one.version) == 12


@settings(max_examples=60, deadline=None)
@given(path_sets, st.integers(0, 2**32 - 1))
def test_a_node_is_the_sum_of_the_leaves_that_start_with_its_path(paths: set[tuple[str, ...]], seed: int) -> None:
    taxonomy = Taxonomy(tuple(paths))
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(len(paths)), size=3)
    sums = taxonomy.node_probabilities(probabilities)
    for node, path in enumerate(taxonomy.nodes):
        below = [i for i, leaf in enumerate(taxonomy.leaves) if leaf[: len(path)] == path]
        assert np.array_equal(np.arange(taxonomy.leaf_start[node], taxonomy.leaf_stop[node]), below)
        np.testing.assert_allclose(sums[:, node], probabilities[:, below].sum(axis=1), rtol=1e-12)
    assert taxonomy.paths_of(np.arange(len(taxonomy.nodes))).to_pylist() == [list(p) for p in taxonomy.nodes]
    assert [taxonomy.nodes[i] for i in taxonomy.leaf_node] == list(taxonomy.leaves)
    for row in range(3):
        assert np.array_equal(taxonomy.node_probabilities(probabilities[row : row + 1])[0], sums[row])
