"""The OpenAPI document says what is true, and its pages need nothing from elsewhere."""

from __future__ import annotations

import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.unit.gateway.conftest import Gateway, product

_ERROR_TYPES = {"application/problem+json", "application/json"}


@pytest.fixture
def document(gateway: Gateway) -> dict[str, Any]:
    return gateway.app.openapi()


def check(document: dict[str, Any], name: str, value: object) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    Draft202012Validator(schema).validate(value)


async def test_requests_and_answers_are_as_the_document_says(gateway: Gateway, document: dict[str, Any]) -> None:
    full = product(
        description="d",
        brand="Acme",
        seller_id="s",
        subcategory="c",
        price_minor=1,
        currency="EUR",
        rating=4.5,
        reviews_count=0,
        created_at="2026-01-31T12:00:00Z",
    )
    check(document, "Product", full)
    check(document, "Product", {**product(), "brand": None, "created_at": 17})
    batch = {"products": [full, product(title="")]}
    check(document, "Products", {"products": [full]})
    check(document, "Prediction", (await gateway.post("/predict", full)).json())
    check(document, "BatchPrediction", (await gateway.post("/predict/batch", batch)).json())
    check(document, "Problem", (await gateway.post("/predict", {})).json())
    for page, name in (
        ("/health", "Health"),
        ("/ready", "Ready"),
        ("/models", "LoadedModels"),
        ("/v2", "ServerMetadata"),
        ("/v2/models/tiny", "ModelMetadata"),
    ):
        check(document, name, (await gateway.get(page)).json())
    (example,) = document["components"]["schemas"]["InferenceRequest"]["examples"]
    answer = await gateway.post("/v2/models/tiny/infer", example)
    assert answer.status_code == 200
    check(document, "InferenceResponse", answer.json())


async def test_every_example_in_the_document_is_answered(gateway: Gateway, document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name, path in (("Product", "/predict"), ("Products", "/predict/batch")):
        for example in schemas[name]["examples"]:
            assert (await gateway.post(path, example)).status_code == 200


def test_every_route_has_a_summary_a_tag_and_its_errors(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for route in methods.values():
            assert route["summary"], path
            assert route["description"], path
            assert set(route["tags"]) <= tags, path
            if "requestBody" in route:
                assert {"400", "413", "415"} <= route["responses"].keys(), path
            for status, answer in route["responses"].items():
                if status >= "400":
                    assert set(answer["content"]) <= _ERROR_TYPES, path


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name in re.findall(r"#/components/schemas/(\w+)", str(document)):
        assert name in schemas
    assert document["info"]["version"]


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
async def test_the_pages_load_nothing_from_elsewhere(gateway: Gateway, page: str) -> None:
    html = (await gateway.get(page)).text
    loaded = re.findall(r"""(?:src|href)=["']([^"']+)["']""", html)
    assert loaded
    for address in loaded:
        assert address.startswith("/"), address
        assert (await gateway.get(address)).status_code == 200


def test_every_error_that_is_declared_has_one_of_our_forms(document: dict[str, Any]) -> None:
    forms = {
        content["schema"]["$ref"].rpartition("/")[2]
        for methods in document["paths"].values()
        for operation in methods.values()
        for status, response in operation["responses"].items()
        if int(status) >= 400
        for content in response["content"].values()
    }
    assert forms == {"Problem", "OpenInferenceError"}
    assert not {name for name in document["components"]["schemas"] if "ValidationError" in name}
