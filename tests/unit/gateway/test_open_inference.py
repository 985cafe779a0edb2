"""The Open Inference Protocol's REST form, by its specification."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.gateway.conftest import Gateway

_INFER = "/v2/models/tiny/infer"


def tensor(name: str, *data: Any, datatype: str = "BYTES", shape: list[int] | None = None) -> dict[str, Any]:
    return {"name": name, "shape": shape or [len(data)], "datatype": datatype, "data": list(data)}


def request(*inputs: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {
        "inputs": [tensor("product_id", "a", "b"), tensor("title", "electric kettle", "usb hub"), *inputs],
        **members,
    }


async def test_server_and_model_tell_what_they_are_and_that_they_are_ready(gateway: Gateway) -> None:
    assert (await gateway.get("/v2")).json().keys() == {"name", "version", "extensions"}
    assert (await gateway.get("/v2/health/live")).json() == {"live": True}
    assert (await gateway.get("/v2/health/ready")).json() == {"ready": True, "live": True}
    version = gateway.slot.model.version
    for path in ("/v2/models/tiny", f"/v2/models/tiny/versions/{version}", "/v2/models/tiny/versions/3"):
        metadata = (await gateway.get(path)).json()
        assert (metadata["name"], metadata["versions"]) == ("tiny", [version, "3"])
        assert {"name": "title", "datatype": "BYTES", "shape": [-1]} in metadata["inputs"]
        assert {"name": "created_at", "datatype": "INT64", "shape": [-1]} in metadata["inputs"]
        assert {"name": "confidence", "datatype": "FP64", "shape": [-1]} in metadata["outputs"]
        assert (await gateway.get(f"{path}/ready")).json() == {"name": "tiny", "ready": True}


@pytest.mark.parametrize("path", ["/v2/models/other", "/v2/models/tiny/versions/4", "/v2/models/other/ready"])
async def test_another_model_or_version_is_not_found_and_the_answer_names_the_one_that_is_here(
    gateway: Gateway, path: str
) -> None:
    answer = await gateway.get(path)
    assert answer.status_code == 404
    assert "tiny" in answer.json()["error"]


async def test_products_go_in_as_tensors_and_decisions_come_out_as_tensors(gateway: Gateway) -> None:
    body = request(
        tensor("price_minor", 3_400, None, datatype="INT64", shape=[2, 1]),
        tensor("rating", None, 4, datatype="FP64"),
        id="42",
    )
    for path in (_INFER, f"/v2/models/tiny/versions/{gateway.slot.model.version}/infer"):
        answer = (await gateway.post(path, body)).json()
        assert (answer["model_name"], answer["model_version"]) == ("tiny", gateway.slot.model.version)
        assert answer["id"] == "42"
        outputs = {one["name"]: one for one in answer["outputs"]}
        assert outputs["category"]["data"] == ["Home > Kitchen > Kettles", "Computers"]
        assert outputs["confidence"]["datatype"] == "FP64"
        assert all(one["shape"] == [2] and len(one["data"]) == 2 for one in outputs.values())


async def test_only_the_outputs_that_are_wanted_come_back_and_no_id_if_there_was_none(gateway: Gateway) -> None:
    wanted = [{"name": "decision"}, {"name": "product_id", "parameters": {"binary_data": False}}]
    answer = (await gateway.post(_INFER, request(outputs=wanted, parameters={"x": 1}))).json()
    assert [one["name"] for one in answer["outputs"]] == ["decision", "product_id"]
    assert "id" not in answer


async def test_a_column_of_values_may_be_nested(gateway: Gateway) -> None:
    nested = {**tensor("brand", ["Acme"], ["Nordlys"]), "shape": [2, 1]}
    assert (await gateway.post(_INFER, request(nested))).status_code == 200


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "inputs: Field required"),
        ({"inputs": []}, "input product_id and title is missing"),
        ({"inputs": [tensor("title", "x")]}, "input product_id is missing"),
        (request(tensor("colour", "red", "blue")), "there is no input 'colour': choose from product_id, title"),
        (request(tensor("brand", "Acme")), "input brand has 1 values and product_id has 2"),
        (request(tensor("brand", "Acme", "x", shape=[3])), "input brand has 2 values and the shape [3]"),
        (request(tensor("brand", "Acme", 7)), "input brand: value 1 is not a string"),
        (request(tensor("rating", 1, 2, datatype="INT64")), "input rating is declared as INT64: send it as FP64"),
        (request(tensor("price_minor", 1, 2.5, datatype="INT64")), "input price_minor: value 1 is not a whole"),
        (request(tensor("price_minor", 1, 2**63, datatype="INT64")), "input price_minor: value 1 is not a whole"),
        (request(tensor("title", "x", "y")), "input title is there twice"),
        ({"inputs": [tensor("product_id", "a"), tensor("title", None)]}, "input title: value 0 is null"),
        (request(outputs=[{"name": "label"}]), "there is no output 'label': choose from product_id, category"),
        (
            request(tensor("price_minor", 1, -1, datatype="INT64")),
            "product 1: price_minor is -1, expected 0",
        ),
        (
            request(tensor("rating", float("nan"), 1, datatype="FP64")),
            "product 0: rating is nan, expected a",
        ),
    ],
)
async def test_what_is_wrong_with_tensors_is_told_in_a_sentence(
    gateway: Gateway, body: dict[str, Any], sentence: str
) -> None:
    answer = await gateway.send(_INFER, json.dumps(body).encode())
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(sentence)


async def test_an_empty_batch_is_answered_with_empty_tensors(gateway: Gateway) -> None:
    answer = await gateway.post(_INFER, {"inputs": [tensor("product_id"), tensor("title")]})
    assert answer.status_code == 200
    assert all(one["shape"] == [0] and one["data"] == [] for one in answer.json()["outputs"])


async def test_the_limit_of_products_holds_here_too(gateway: Gateway) -> None:
    many = ["x"] * 1_001
    answer = await gateway.post(_INFER, {"inputs": [tensor("product_id", *many), tensor("title", *many)]})
    assert answer.status_code == 413
    assert answer.json()["error"].startswith("there are 1001 products and at most 1000")
