from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pyarrow as pa
import pytest

from models.classifier import Classifier
from models.taxonomy import Taxonomy
from schemas.errors import SetupError
from tests.tiny_model import fit_tiny_classifier, tiny_products
from training.comparison import compare, rows_learned_from
from training.outcomes import classify_labelled
from training.splits import TEST, assign_parts, groups_of

PRODUCTS = pa.Table.from_batches([tiny_products(20)])


@cache
def classic() -> Classifier:
    return fit_tiny_classifier("classic", name="classic", threshold=0.9)


@cache
def text() -> Classifier:
    return fit_tiny_classifier(name="text")


def test_a_model_does_not_differ_from_itself() -> None:
    same = compare(text(), text(), PRODUCTS)

    assert all(one.champion == one.candidate for one in same.figures)
    assert (same.gained, same.lost, same.p_value, same.n_other_path) == (0, 0, 1.0, 0)
    assert sum(one.n for one in same.transitions if one.before != one.after) == 0
    assert {one.gain for one in same.categories} == {0.0}
    assert same.same_classes


def test_the_changes_are_those_of_the_rows_counted_one_by_one() -> None:
    compared = compare(classic(), text(), PRODUCTS)
    before, after = (classify_labelled(one, PRODUCTS) for one in (classic(), text()))

    assert compared.gained == (after.is_right & ~before.is_right).sum()
    assert compared.lost == (before.is_right & ~after.is_right).sum()
    fates = [
        [
            ("right" if is_true else "wrong") if is_published else "review"
            for is_published, is_true in zip(outcomes.is_published, outcomes.is_true, strict=True)
        ]
        for outcomes in (before, after)
    ]
    pairs = list(zip(*fates, strict=True))
    assert {(one.before, one.after): one.n for one in compared.transitions if one.n} == {
        pair: pairs.count(pair) for pair in set(pairs)
    }
    assert any(one.n and one.before != one.after for one in compared.transitions)
    for one in compared.transitions:
        assert (len(one.examples) > 0) == (one.n > 0 and one.before != one.after)
        for old, new in one.examples:
            assert old.product_id == new.product_id
    figures = {one.name: (one.champion, one.candidate) for one in compared.figures}
    assert figures["accuracy"] == (before.is_right.mean(), after.is_right.mean())


def test_rows_that_the_champion_has_learned_from_are_set_aside() -> None:
    learned = np.arange(PRODUCTS.num_rows) % 4 != 0
    compared = compare(classic(), text(), PRODUCTS, learned_from=learned)

    alone = compare(classic(), text(), PRODUCTS.filter(pa.array(~learned)))
    assert compared.n == (~learned).sum()
    assert compared.n_set_aside == learned.sum()
    assert compared.figures == alone.figures
    assert compared.transitions == alone.transitions


def test_without_a_row_that_the_champion_has_not_seen_there_is_no_comparison() -> None:
    with pytest.raises(SetupError, match=r"All 100 products .* compare the models on other products"):
        compare(classic(), text(), PRODUCTS, learned_from=np.ones(100, np.bool_))


def test_a_model_has_learned_from_what_is_not_in_its_test_part() -> None:
    learned = rows_learned_from({"seed": 3}, PRODUCTS)

    assert learned is not None
    assert (learned == (assign_parts(groups_of(PRODUCTS), seed=3) != TEST)).all()
    assert 0 < learned.sum() < len(learned)
    assert rows_learned_from({"source": "elsewhere"}, PRODUCTS) is None


def test_a_class_that_only_one_model_has_is_not_compared() -> None:
    kettles = ("Home", "Kitchen", "Kettles")
    renamed = ("Home", "Kitchen", "Renamed")
    leaves = tuple(renamed if path == kettles else path for path in text().taxonomy.leaves)
    other = replace(text(), taxonomy=Taxonomy(leaves))
    compared = compare(other, text(), PRODUCTS)

    assert not compared.same_classes
    by_path = {one.path: one for one in compared.categories}
    assert by_path[renamed].candidate is None
    assert by_path[kettles].champion is None
    assert by_path[renamed].gain is None
