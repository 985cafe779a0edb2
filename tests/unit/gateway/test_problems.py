"""Whatever goes wrong is a sentence in the form that the page promises, and never a stack trace."""

from __future__ import annotations

import pytest

from gateway.problems import PROBLEM_JSON, Problem
from tests.unit.gateway.conftest import Gateway, product

_INFER = "/v2/models/tiny/infer"


@pytest.mark.parametrize(
    ("path", "content", "status", "sentence"),
    [
        (
            "/predict",
            b"",
            400,
            "the body is not JSON (EOF while parsing a value at line 1 column 0): send",
        ),
        ("/predict", b"{", 400, "the body is not JSON"),
        ("/predict", b'{"title": "\\ud800"}', 400, "the body is not JSON"),
        ("/predict", b"\xff\xfe", 400, "the body is not JSON"),
        ("/predict", b"[" * 100_000, 400, "the body is not JSON"),
        ("/predict", b"[]", 422, "the body is not a JSON object: send one JSON object with product_id and title"),
        ("/predict", b"{}", 422, "product_id is missing; title is missing"),
        ("/predict", b'{"products": []}', 422, "product_id is missing; title is missing; 'products' is no field"),
        ("/predict/batch", b"[]", 422, 'the body is not a JSON object: send {"products": [...]}'),
        ("/predict/batch", b"{}", 422, "products is missing: send"),
        ("/predict/batch", b'{"products": {}}', 422, "products is an object, expected an array: send"),
        ("/predict/batch", b'{"products": []}', 422, "products is empty: send"),
        ("/predict/batch", b'{"products": [{}], "x": 1}', 422, "'x' is not known: send"),
        ("/predict/batch", b'{"products": [1]}', 200, ""),
    ],
)
async def test_a_body_that_is_no_product_is_told_what_to_send(
    gateway: Gateway, path: str, content: bytes, status: int, sentence: str
) -> None:
    answer = await gateway.send(path, content)
    assert answer.status_code == status
    if status == 200:
        assert answer.json()["results"][0]["error"]["detail"] == "the product is 1, expected an object"
        return
    assert answer.headers["content-type"] == PROBLEM_JSON
    problem = Problem.model_validate(answer.json(), strict=True, extra="forbid")
    assert problem.status == status
    assert problem.detail.startswith(sentence)


@pytest.mark.parametrize("declared", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; x"])
async def test_a_body_that_is_declared_as_something_else_is_refused(gateway: Gateway, declared: str) -> None:
    answer = await gateway.send("/predict", b"{}", **{"content-type": declared})
    assert answer.status_code == 415
    assert "send JSON with Content-Type: application/json" in answer.json()["detail"]


@pytest.mark.parametrize("declared", ["application/json", "application/json; charset=utf-8", "application/x+json"])
async def test_json_may_be_declared_in_several_ways(gateway: Gateway, declared: str) -> None:
    body = b'{"product_id": "1", "title": "kettle"}'
    assert (await gateway.send("/predict", body, **{"content-type": declared})).status_code == 200


async def test_a_page_or_method_that_is_not_there_is_a_problem_too(gateway: Gateway) -> None:
    nowhere = await gateway.get("/predictions")
    assert (nowhere.status_code, nowhere.headers["content-type"]) == (404, PROBLEM_JSON)
    assert nowhere.json()["detail"] == "there is nothing at /predictions: /docs lists what there is"
    wrong = await gateway.get("/predict")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert wrong.json()["detail"] == "/predict does not answer GET: send POST"


async def test_below_v2_errors_have_the_form_of_the_protocol(gateway: Gateway) -> None:
    for answer, status in (
        (await gateway.get("/v2/nowhere"), 404),
        (await gateway.get(_INFER), 405),
        (await gateway.send(_INFER, b"{"), 400),
        (await gateway.send(_INFER, b"{}", **{"content-type": "text/plain"}), 415),
    ):
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/json"
        assert list(answer.json()) == ["error"]


async def test_an_error_that_nobody_thought_of_says_nothing_of_the_program(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("gateway.predictions.to_json", broken)
    answer = await gateway.post("/predict", product())
    assert answer.status_code == 500
    assert answer.headers["content-type"] == PROBLEM_JSON
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
