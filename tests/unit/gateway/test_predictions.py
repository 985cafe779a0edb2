"""Products as JSON in, decisions as JSON out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway.answers import BatchPrediction, Prediction
from tests.unit.gateway.conftest import MAX_BATCH, Gateway, product

if TYPE_CHECKING:
    from tests.unit.streams.conftest import TitleClassifier


async def test_a_product_is_answered_with_its_decision_and_the_model_that_made_it(gateway: Gateway) -> None:
    answer = await gateway.post("/predict", product("p-7", "wireless headphones", brand="Acme", price_minor=5_900))
    assert answer.status_code == 200
    prediction = Prediction.model_validate(answer.json(), strict=True, extra="forbid")
    assert prediction.product_id == "p-7"
    assert prediction.category_path == ["Audio", "Headphones"]
    assert prediction.alternatives[0].category_path == ["Audio", "Headphones"]
    assert (prediction.model.name, prediction.model.registered_version) == ("tiny", 3)
    assert prediction.model.version == gateway.slot.model.version


async def test_a_batch_is_answered_in_order_and_a_bad_product_has_its_own_error(gateway: Gateway) -> None:
    products = [
        product("p-1", "electric kettle"),
        product("p-2", " ", price_minor=-1),
        {"product_id": 3, "titel": "lamp"},
        product("p-4", "laptop 14 inch"),
    ]
    answer = await gateway.post("/predict/batch", {"products": products})
    assert answer.status_code == 200
    body = BatchPrediction.model_validate(answer.json(), strict=True, extra="forbid")
    assert body.model.name == "tiny"
    first, second, third, fourth = answer.json()["results"]
    assert (first["product_id"], fourth["product_id"]) == ("p-1", "p-4")
    assert second["error"]["detail"] == "title is blank (' '); price_minor is -1, expected 0 or more"
    assert third["error"]["errors"] == [
        {"pointer": "/product_id", "detail": "product_id is 3, expected a valid string"},
        {"pointer": "/title", "detail": "title is missing"},
        {"pointer": "/titel", "detail": "'titel' is no field of a product, did you mean title?"},
    ]


async def test_a_batch_may_be_all_bad_and_is_answered_all_the_same(gateway: Gateway) -> None:
    answer = await gateway.post("/predict/batch", {"products": [{}, product(title="")]})
    assert answer.status_code == 200
    assert [one["error"]["status"] for one in answer.json()["results"]] == [422, 422]


async def test_a_batch_has_a_limit(gateway: Gateway) -> None:
    at_most = await gateway.post("/predict/batch", {"products": [product()] * MAX_BATCH})
    assert len(at_most.json()["results"]) == MAX_BATCH
    beyond = await gateway.post("/predict/batch", {"products": [product()] * (MAX_BATCH + 1)})
    assert beyond.status_code == 413
    assert "1001 products and at most 1000" in beyond.json()["detail"]


async def test_single_products_of_concurrent_requests_are_decided_on_together(
    by_title: Gateway, titles: TitleClassifier
) -> None:
    async with by_title.client() as client:
        answers = await asyncio.gather(
            *(client.post("/predict", json=product(f"p-{number}", f"lamp {number}")) for number in range(30))
        )
    assert [one.json()["category_path"] for one in answers] == [["Things", f"lamp {n}"] for n in range(30)]
    assert sum(titles.batches) == 30
    assert len(titles.batches) < 30


@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
async def test_a_product_that_the_model_fails_on_is_an_internal_error_of_its_own(
    by_title: Gateway, path: str
) -> None:
    if path == "/predict":
        answer = await by_title.post(path, product(title="poison"))
        error, status = answer.json(), answer.status_code
        assert status == 500
    else:
        answer = await by_title.post(path, {"products": [product(), product(title="poison"), product("p-3")]})
        first, second, third = answer.json()["results"]
        assert (first["decision"], third["decision"]) == ("accepted", "accepted")
        error = second["error"]
    assert error["status"] == 500
    assert "ZeroDivisionError" not in answer.text
