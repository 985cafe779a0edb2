from __future__ import annotations

import mmh3
import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from sklearn.feature_extraction.text import CountVectorizer

from features.matrix import vectorize
from features.spec import BlockKind, FeatureSpec, TextBlock
from tests.unit.features import made_products, oracle
from tests.unit.features.made_products import block_tokens


def test_words_and_their_pairs_are_counted_in_order_of_first_occurrence() -> None:
    found = _tokens("b a b a", kind="word", shortest=1, longest=2)

    assert found == _expected({"b": 2, "a": 2, "b a": 2, "a b": 1}, "title/word")


def test_character_ngrams_stay_inside_a_padded_word() -> None:
    found = _tokens("abc d", kind="char", shortest=3, longest=4)

    assert found == _expected({" ab": 1, "abc": 1, "bc ": 1, " abc": 1, "abc ": 1, " d ": 1}, "title/char")


def test_a_padded_word_shorter_than_n_is_taken_once() -> None:
    assert _tokens("x", kind="char", shortest=5, longest=9) == _expected({" x ": 1}, "title/char")


def test_a_mark_is_a_character_of_its_own_in_an_ngram() -> None:
    assert _tokens("नी", kind="char", shortest=3, longest=3) == _expected({" नी": 1, "नी ": 1}, "title/char")


def test_the_same_word_in_two_fields_is_two_buckets() -> None:
    blocks = tuple(TextBlock(field=field, kind="word", shortest=1, longest=1) for field in ("title", "brand"))
    spec = FeatureSpec(profile="text", blocks=blocks, dense=())

    matrix = vectorize(pa.record_batch({"title": ["acme"], "brand": ["acme"]}), spec)

    assert len(set(matrix.tokens.buckets.tolist())) == 2


def test_colliding_words_add_up_in_their_bucket() -> None:
    words = [f"w{number}" for number in range(100)]
    spec = FeatureSpec(
        profile="text",
        blocks=(TextBlock(field="title", kind="word", shortest=1, longest=1),),
        hash_bits=2,
        dense=(),
    )

    matrix = vectorize(pa.record_batch({"title": [" ".join(words)]}), spec)

    assert sorted(matrix.tokens.buckets.tolist()) == [0, 1, 2, 3]
    assert matrix.tokens.counts.sum() == 100
    assert matrix.tokens.buckets.dtype == np.int32
    assert matrix.tokens.counts.dtype == np.float32
    assert matrix.tokens.indptr.dtype == np.int64


def test_buckets_that_meet_in_a_slot_of_the_counting_table_are_kept_apart() -> None:
    spec = FeatureSpec(
        profile="text",
        blocks=(TextBlock(field="title", kind="word", shortest=1, longest=1),),
        hash_bits=8,
        dense=(),
    )
    seed = mmh3.hash("title/word", 0, signed=False)
    word_of = {mmh3.hash(f"w{n}", seed, signed=False) % 2**8: f"w{n}" for n in range(5000)}
    buckets = [0, 16, 32, 0, 48, 16, 64, 0]  # the table of a short title has 16 slots

    matrix = vectorize(pa.record_batch({"title": [" ".join(word_of[bucket] for bucket in buckets)]}), spec)

    assert block_tokens(matrix, 0, 0) == {0: 3, 16: 2, 32: 1, 48: 1, 64: 1}


@settings(max_examples=50, deadline=None)
@given(made_products.texts())
def test_the_oracles_ngrams_are_those_of_scikit_learn(text: str) -> None:
    words = oracle.words_of(text)
    # Its char_wb collapses white space of its own; our words hold none, so both see the same words.
    char_wb = CountVectorizer(analyzer="char_wb", ngram_range=(3, 5), lowercase=False).build_analyzer()
    word = CountVectorizer(
        analyzer="word", ngram_range=(1, 2), lowercase=False, tokenizer=str.split, token_pattern=None
    ).build_analyzer()

    assert oracle.char_ngrams(words, 3, 5) == list(char_wb(" ".join(words)))
    assert oracle.word_ngrams(words, 1, 2) == list(word(" ".join(words)))


def _tokens(title: str, *, kind: BlockKind, shortest: int, longest: int) -> list[tuple[int, float]]:
    block = TextBlock(field="title", kind=kind, shortest=shortest, longest=longest)
    spec = FeatureSpec(profile="text", blocks=(block,), dense=())
    return list(block_tokens(vectorize(pa.record_batch({"title": [title]}), spec), 0, 0).items())


def _expected(ngrams: dict[str, int], block: str) -> list[tuple[int, float]]:
    seed = mmh3.hash(block, 0, signed=False)
    return [(mmh3.hash(ngram.encode(), seed, signed=False) % 2**18, count) for ngram, count in ngrams.items()]
