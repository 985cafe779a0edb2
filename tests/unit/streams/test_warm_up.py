"""The first real slice must find everything compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.avro_files import load_schema
from streams.warm_up import warm_up

if TYPE_CHECKING:
    from tests.unit.streams.conftest import Workbench


def test_the_model_sees_made_up_products(workbench: Workbench) -> None:
    assert warm_up(workbench.processor, workbench.registry, "products.created") == 2
    assert workbench.classifier.batches == [2]


def test_a_newer_schema_of_the_input_does_not_keep_them_from_the_model(workbench: Workbench) -> None:
    newer = load_schema("product_created").replace("ProductCreated", "SomethingLater")
    workbench.registry.register("products.created-value", newer)
    warm_up(workbench.processor, workbench.registry, "products.created")
    assert workbench.classifier.batches == [2]


def test_a_topic_without_schema_is_left_alone(workbench: Workbench) -> None:
    assert warm_up(workbench.processor, workbench.registry, "elsewhere") == 0
    assert workbench.classifier.batches == []
