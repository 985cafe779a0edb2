"""The linear text model and its weighting, against a slow oracle in plain Python and float64."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.ngrams import TokenCounts
from models.text_model import TextModel
from models.weighting import Weighting, fit_weighting
from schemas.errors import SetupError

N_BUCKETS = 64
Blocks = list[list[dict[int, int]]]  # rows, blocks of a row, counts by bucket

block = st.dictionaries(st.integers(0, N_BUCKETS - 1), st.integers(1, 40), max_size=12)


def tokens_of(rows: Blocks, n_blocks: int) -> TokenCounts:
    blocks = [counts for row in rows for counts in row]
    buckets = np.array([bucket for counts in blocks for bucket in counts], np.int32)
    return TokenCounts(
        indptr=np.concatenate([[0], np.cumsum([len(counts) for counts in blocks])]).astype(np.int64),
        buckets=buckets,
        hashes=buckets.view(np.uint32),
        counts=np.array([count for counts in blocks for count in counts.values()], np.float32),
        n_blocks=n_blocks,
    )


def random_model(n_classes: int, n_blocks: int, *, seed: int = 0) -> tuple[TextModel, npt.NDArray[np.float32]]:
    """Return a model that knows every second bucket, and its weights as a dense table."""
    random = np.random.default_rng(seed)
    weights = random.standard_normal((N_BUCKETS, n_classes)).astype(np.float32)
    weights[::2] = 0
    weighting = Weighting(
        idf=random.uniform(1, 8, N_BUCKETS).astype(np.float32),
        block_weights=random.uniform(0.5, 2, n_blocks).astype(np.float32),
    )
    bias = random.standard_normal(n_classes).astype(np.float32)
    return TextModel.from_dense(weighting=weighting, weights=weights, bias=bias), weights


def oracle_row(row: list[dict[int, int]], weighting: Weighting) -> dict[int, float]:
    vector: dict[int, float] = {}
    for b, counts in enumerate(row):
        values = {k: (1 + math.log(count)) * float(weighting.idf[k]) for k, count in counts.items()}
        norm = math.sqrt(math.fsum(v * v for v in values.values()))
        for k, value in values.items():
            vector[k] = vector.get(k, 0.0) + value / norm * float(weighting.block_weights[b])
    return vector


@pytest.mark.parametrize("n_blocks", [1, 2])
def test_training_rows_leave_the_tokens_as_they_are(n_blocks: int) -> None:
    model, _ = random_model(3, n_blocks)
    tokens = tokens_of([[{9: 2, 3: 1}] * n_blocks, [{5: 1, 1: 4, 3: 1}] * n_blocks], n_blocks)
    before = [array.tobytes() for array in (tokens.indptr, tokens.buckets, tokens.counts)]

    model.weighting.row_vectors(tokens)
    assert [array.tobytes() for array in (tokens.indptr, tokens.buckets, tokens.counts)] == before


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(block, min_size=2, max_size=2), max_size=6), st.sampled_from([1, 2, 7, 8, 9, 25]))
def test_scores_and_training_rows_equal_the_oracle(rows: Blocks, n_classes: int) -> None:
    model, weights = random_model(n_classes, 2)
    tokens = tokens_of(rows, 2)
    expected = np.zeros((len(rows), n_classes))
    vectors = np.zeros((len(rows), N_BUCKETS))
    for r, row in enumerate(rows):
        expected[r] = model.bias
        for k, value in oracle_row(row, model.weighting).items():
            expected[r] += value * weights[k].astype(np.float64)
            vectors[r, k] = value
    scores = model.scores(tokens)
    assert scores.dtype == np.float32
    assert scores.shape == (len(rows), n_classes)
    np.testing.assert_allclose(scores, expected, rtol=2e-5, atol=2e-5)
    matrix = model.weighting.row_vectors(tokens)
    assert matrix.dtype == np.float32
    assert matrix.has_canonical_format
    np.testing.assert_allclose(matrix.toarray(), vectors, rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(block, min_size=3, max_size=3), min_size=1, max_size=8), st.randoms())
def test_a_batch_scores_bit_for_bit_as_its_rows_alone_in_any_order(rows: Blocks, random: object) -> None:
    model, _ = random_model(9, 3)
    together = model.scores(tokens_of(rows, 3))
    for r, row in enumerate(rows):
        assert np.array_equal(model.scores(tokens_of([row], 3))[0], together[r])
    assert np.array_equal(model.scores(tokens_of(rows[::-1], 3)), together[::-1])


def test_every_block_with_text_has_its_own_length() -> None:
    weighting = Weighting(
        idf=np.linspace(1, 9, N_BUCKETS, dtype=np.float32), block_weights=np.array([1, 0.5], np.float32)
    )
    rows: Blocks = [[{1: 1}, dict.fromkeys(range(30), 3)], [{}, {5: 2}]]
    tokens = tokens_of(rows, 2)
    weights = weighting.entry_weights(tokens)
    lengths = [float(np.linalg.norm(weights[a:b])) for a, b in zip(tokens.indptr, tokens.indptr[1:], strict=False)]
    np.testing.assert_allclose(lengths, [1, 0.5, 0, 0.5], rtol=1e-6)


def test_only_buckets_with_weights_are_kept_and_the_others_add_nothing() -> None:
    model, _ = random_model(5, 1)
    assert model.buckets.tolist() == list(range(1, N_BUCKETS, 2))
    assert np.array_equal(model.scores(tokens_of([[{0: 1, 2: 3}], [{}]], 1)), np.stack([model.bias, model.bias]))


def test_the_weights_are_held_once_and_come_back_bit_for_bit() -> None:
    model, weights = random_model(5, 1)
    assert model.kept_weights().tobytes() == weights[1::2].tobytes()
    model.kept_weights()[:] = 0
    assert model.kept_weights().tobytes() == weights[1::2].tobytes()
    assert not hasattr(model, "weights")


def test_a_model_without_a_single_known_bucket_scores_its_bias() -> None:
    weighting = Weighting(idf=np.ones(N_BUCKETS, np.float32), block_weights=np.ones(1, np.float32))
    model = TextModel.from_dense(
        weighting=weighting, weights=np.zeros((N_BUCKETS, 3), np.float32), bias=np.arange(3, dtype=np.float32)
    )
    assert model.scores(tokens_of([[{7: 1}]], 1)).tolist() == [[0, 1, 2]]
    assert model.scores(tokens_of([], 1)).shape == (0, 3)


def test_a_bucket_in_two_blocks_of_a_row_counts_once_for_its_document_frequency() -> None:
    rows: Blocks = [[{1: 5}, {1: 1, 2: 1}], [{1: 1}, {}], [{}, {3: 1}]]
    weighting = fit_weighting(tokens_of(rows, 2), n_buckets=N_BUCKETS, block_weights=[1.0, 1.0])
    expected = [math.log(4 / (1 + seen)) + 1 for seen in (0, 2, 1, 1)]
    np.testing.assert_allclose(weighting.idf[:4], expected, rtol=1e-6)


def test_scoring_changes_neither_model_nor_tokens() -> None:
    model, _ = random_model(5, 1)
    tokens = tokens_of([[{1: 2, 3: 1}]], 1)
    buckets, counts = tokens.buckets.copy(), tokens.counts.copy()
    first = model.scores(tokens)
    assert np.array_equal(first, model.scores(tokens))
    assert np.array_equal(tokens.buckets, buckets)
    assert np.array_equal(tokens.counts, counts)
    with pytest.raises(ValueError, match="read-only"):
        model.bias[0] = 1


def test_tokens_of_another_spec_are_refused() -> None:
    model, _ = random_model(5, 2)
    with pytest.raises(SetupError, match="3 text blocks and the model was fitted on 2"):
        model.scores(tokens_of([[{}, {}, {}]], 3))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"buckets": np.array([1, 1], np.int32)}, "ascend"),
        ({"buckets": np.array([-1, 3], np.int32)}, "ascend"),
        ({"buckets": np.array([1, N_BUCKETS], np.int32)}, "ascend"),
        ({"buckets": np.array([1, 2], np.int64)}, "int32"),
        ({"weights": np.zeros((3, 2), np.float32)}, "do not fit"),
        ({"weights": np.full((2, 2), np.nan, np.float32)}, "not finite"),
        ({"bias": np.zeros(2)}, "float32"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(
    change: dict[str, npt.NDArray[np.generic]], sentence: str
) -> None:
    arrays: dict[str, object] = {
        "weighting": Weighting(idf=np.ones(N_BUCKETS, np.float32), block_weights=np.ones(1, np.float32)),
        "buckets": np.array([1, 2], np.int32),
        "weights": np.zeros((2, 2), np.float32),
        "bias": np.zeros(2, np.float32),
        **change,
    }
    with pytest.raises(SetupError, match=sentence):
        TextModel(**arrays)  # type: ignore[arg-type]  # wrong types are what is tested


def test_a_weighting_that_is_not_finite_is_refused() -> None:
    with pytest.raises(SetupError, match="finite"):
        Weighting(idf=np.array([np.inf], np.float32), block_weights=np.ones(1, np.float32))


@pytest.mark.parametrize("n_classes", [2, 16, 17, 32, 33, 45, 64, 70])
def test_any_number_of_classes_adds_up_in_the_order_of_the_entries(n_classes: int) -> None:
    chance = np.random.default_rng(n_classes)
    n_buckets, n_rows = 64, 9
    weighting = Weighting(
        idf=chance.uniform(1, 5, n_buckets).astype(np.float32), block_weights=np.array([1, 0.5], np.float32)
    )
    weights = chance.normal(size=(n_buckets, n_classes)).astype(np.float32)
    weights[chance.random(n_buckets) < 0.3] = 0
    bias = chance.normal(size=n_classes).astype(np.float32)
    model = TextModel.from_dense(weighting=weighting, weights=weights, bias=bias)
    sizes = chance.integers(0, 12, 2 * n_rows)
    indptr = np.concatenate([[0], np.cumsum(sizes)])
    buckets = chance.integers(0, n_buckets, indptr[-1]).astype(np.int32)
    tokens = TokenCounts(
        indptr=indptr,
        buckets=buckets,
        hashes=buckets.view(np.uint32),
        counts=chance.choice(np.array([1, 1, 1, 2, 40], np.float32), indptr[-1]),
        n_blocks=2,
    )
    entry_weights = weighting.entry_weights(tokens)
    scores = model.scores(tokens)
    for row in range(n_rows):
        expected = bias.copy()
        for entry in range(indptr[2 * row], indptr[2 * row + 2]):
            expected += entry_weights[entry] * weights[tokens.buckets[entry]]
        assert scores[row].tobytes() == expected.tobytes()
