"""Stream and HTTP answer the same: every event of the sample catalogue, and every reason of an invalid one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pydantic_core import from_json

from models.serving.described import DescribedModel
from schemas.columns import DECISION, PRODUCT
from schemas.product_files import read_products
from tests.unit.gateway.conftest import MAX_BATCH, Gateway, product
from tests.unit.gateway.the_stream import Stream, as_json

_SAME = (
    "product_id",
    "category_path",
    "confidence",
    "decision",
    "alternatives",
    "unseen_brand",
    "unseen_seller",
    "unfamiliar_text",
)
_OF_MODEL = ("name", "version", "feature_fingerprint", "taxonomy_version")


@pytest.fixture(scope="module")
def catalogue(repository: Path) -> pa.RecordBatch:
    """The products of the sample catalogue."""
    table = read_products(repository / "sortline/sample_data/pcparts.parquet", labelled=False)
    return table.select(PRODUCT.names).cast(PRODUCT).combine_chunks().to_batches()[0]


@pytest.fixture(scope="module")
def stream(tiny_model: DescribedModel) -> Stream:
    return Stream(tiny_model.classifier)


def assert_same(event: dict[str, Any], decision: dict[str, Any]) -> None:
    # Doubles are compared with ==, which tells apart all that a confidence can be.
    assert {name: decision[name] for name in _SAME} == {name: event[name] for name in _SAME}


async def test_every_event_of_the_sample_catalogue_is_answered_as_the_stream_publishes_it(
    gateway: Gateway, stream: Stream, catalogue: pa.RecordBatch
) -> None:
    for start in range(0, catalogue.num_rows, MAX_BATCH):
        part = catalogue.slice(start, MAX_BATCH)
        events = stream.events(part)
        body = json.dumps({"products": [as_json(row) for row in part.to_pylist()]}).encode()
        answer = from_json((await gateway.send("/predict/batch", body)).content)
        assert events["model_version"].unique().to_pylist() == [answer["model"]["version"]]
        # As columns: a row of these as an object costs as much as its decision.
        assert events.select(DECISION.names).equals(pa.RecordBatch.from_pylist(answer["results"], DECISION))


async def test_it_is_the_same_over_http_one_by_one_and_by_batches_and_as_tensors(
    gateway: Gateway, stream: Stream, catalogue: pa.RecordBatch
) -> None:
    part = catalogue.slice(0, 50)
    rows = [as_json(row) for row in part.to_pylist()]
    events = stream.published(part)
    batch = (await gateway.post("/predict/batch", {"products": rows})).json()
    assert [batch["model"][name] for name in _OF_MODEL] == [
        events[0][name if "_" in name else f"model_{name}"] for name in _OF_MODEL
    ]
    for row, event, one_of_batch in zip(rows, events, batch["results"], strict=True):
        single = (await gateway.post("/predict", row)).json()
        assert single.pop("model") == batch["model"]
        assert single == one_of_batch
        assert_same(event, single)
    tensors = [
        {"name": "product_id", "datatype": "BYTES"},
        {"name": "title", "datatype": "BYTES"},
        {"name": "brand", "datatype": "BYTES"},
        {"name": "price_minor", "datatype": "INT64"},
        {"name": "currency", "datatype": "BYTES"},
        {"name": "description", "datatype": "BYTES"},
        {"name": "seller_id", "datatype": "BYTES"},
        {"name": "subcategory", "datatype": "BYTES"},
        {"name": "rating", "datatype": "FP64"},
        {"name": "reviews_count", "datatype": "INT64"},
    ]
    inputs = [{**one, "shape": [50], "data": [row.get(str(one["name"])) for row in rows]} for one in tensors]
    answer = (await gateway.post("/v2/models/tiny/infer", {"inputs": inputs})).json()
    outputs = {one["name"]: one["data"] for one in answer["outputs"]}
    for name in ("product_id", "confidence", "decision", "unseen_brand", "unseen_seller", "unfamiliar_text"):
        assert outputs[name] == [event[name] for event in events]
    assert outputs["category"] == [" > ".join(event["category_path"]) for event in events]
    assert answer["model_version"] == events[0]["model_version"]


_INVALID = (
    product(title=""),
    product(title=" \t "),
    product(title="\u00a0\u2003"),
    product(product_id=""),
    product(product_id="x" * 257),
    product(title="é" * 65_537),
    product(description="x" * 524_289),
    product(brand="x" * 1_025),
    product(seller_id="ü" * 513),
    product(subcategory="x" * 1_025),
    product(price_minor=-1),
    product(price_minor=-(2**63)),
    product(reviews_count=-5),
    product(rating=-0.5),
    product(rating=float("nan")),
    product(rating=float("inf")),
    product(rating=float("-inf")),
    product(currency="eur"),
    product(currency=""),
    product(currency="EURO"),
    product(title=" ", price_minor=-1, currency="?"),
)


async def test_an_invalid_product_is_refused_with_the_reason_of_its_dead_letter(
    gateway: Gateway, stream: Stream
) -> None:
    rows = [product("p-first"), *_INVALID, product("p-last", price_minor=2**63 - 1)]
    events = stream.published(pa.RecordBatch.from_pylist(rows, PRODUCT))
    batch = json.loads((await gateway.send("/predict/batch", json.dumps({"products": rows}).encode())).text)
    assert len(rows) == len(events) == len(batch["results"])
    for row, event, result in zip(rows, events, batch["results"], strict=True):
        if "reason" not in event:
            assert_same(event, result)
            continue
        assert result["error"]["detail"] == event["reason"]
        single = await gateway.send("/predict", json.dumps(row).encode())
        assert single.status_code == 422
        assert single.json() == result["error"]
    assert sum("reason" in event for event in events) == len(_INVALID)
