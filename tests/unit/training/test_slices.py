from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from tests.unit.training.made_outcomes import made_classes, made_outcomes
from training.outcomes import Outcomes
from training.slices import slices_of

CLASSES = made_classes(5)


def made() -> tuple[Outcomes, pa.Table]:
    return made_outcomes(500, CLASSES)


def test_the_slices_of_a_property_are_all_products_once() -> None:
    outcomes, products = made()
    slices = slices_of(outcomes, products)

    properties = {one.property for one in slices}
    assert properties == {"brand", "price", "title, characters", "text that was new in training"}
    for name in properties:
        cut = [one for one in slices if one.property == name]
        assert sum(one.n for one in cut) == len(outcomes)
        assert sum(one.accuracy.right for one in cut) == outcomes.is_right.sum()
        assert sum(one.coverage.right for one in cut) == outcomes.is_published.sum()
        assert sum(one.precision.right for one in cut) == (outcomes.is_published & outcomes.is_true).sum()


def test_a_brand_is_seen_new_or_missing_as_the_model_says() -> None:
    outcomes, products = made()
    of_brand = {one.value: one for one in slices_of(outcomes, products) if one.property == "brand"}

    is_missing = np.arange(500) % 5 == 0
    assert outcomes.unseen is not None
    is_new = outcomes.unseen.brand & ~is_missing
    assert of_brand["missing"].n == is_missing.sum()
    assert of_brand["new"].n == is_new.sum()
    assert of_brand["new"].accuracy.right == outcomes.is_right[is_new].sum()
    assert list(of_brand) == ["seen in training", "new", "missing"]


def test_a_model_that_does_not_know_what_it_saw_is_cut_by_given_and_missing() -> None:
    outcomes, products = made()
    slices = slices_of(replace(outcomes, unseen=None), products)

    assert [one.value for one in slices if one.property == "brand"] == ["given", "missing"]


def test_a_title_counts_in_the_slice_of_its_length() -> None:
    outcomes, products = made()
    titles = ["x" * n for n in (1, 20, 21, 40, 41, 160, 161)]
    few = products.slice(0, 7).set_column(
        products.schema.get_field_index("title"), products.schema.field("title"), pa.array(titles)
    )
    slices = slices_of(outcomes.where(np.arange(500) < 7), few)

    assert [(one.value, one.n) for one in slices if one.property.startswith("title")] == [
        ("1 to 20", 2),
        ("21 to 40", 2),
        ("41 to 80", 1),
        ("81 to 160", 1),
        ("over 160", 1),
    ]
