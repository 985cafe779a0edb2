"""A model decides on something made up before it decides on what matters."""

from __future__ import annotations

import pytest

from models.serving.try_out import made_up_products, try_out
from tests.unit.streams.conftest import TitleClassifier


def test_few_rows_and_many_are_tried() -> None:
    classifier = TitleClassifier()
    try_out(classifier)
    assert classifier.batches == [2, 128]


def test_the_made_up_products_have_every_field_and_none_but_the_required_ones() -> None:
    full, bare = made_up_products().to_pylist()
    assert None not in full.values()
    assert [name for name, value in bare.items() if value is not None] == ["product_id", "title"]


def test_what_a_model_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        try_out(TitleClassifier(broken=ZeroDivisionError("in the model")))
