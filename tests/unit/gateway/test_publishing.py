from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from gateway.app import Parts, create_app
from gateway.deliveries import Place, Undelivered
from gateway.metrics import Metrics
from gateway.model_slot import ModelSlot
from gateway.predictions import Deciders
from gateway.publishing import Publisher, publishing_router
from models.serving.described import DescribedModel
from schemas.errors import DependencyUnavailableError, SetupError, SortlineError
from tests.unit.gateway.conftest import Gateway, product

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TOPIC = "products.created"


class MemoryWriter:
    """A topic of one partition. A product whose id begins with `lost`, `full` or `large` is not delivered so."""

    def __init__(self) -> None:
        self.log: list[tuple[str, dict[str, Any] | None, bytes | None]] = []
        self.fault: SortlineError | None = None

    async def publish(self, products: pa.RecordBatch, traceparent: bytes | None) -> list[Place | Undelivered]:
        if self.fault is not None:
            raise self.fault
        at = products.schema.get_field_index("created_at")  # as numbers: Python has no dates beyond the year 9999
        products = products.set_column(at, "created_at", products["created_at"].cast(pa.int64()))
        return [self._append(row["product_id"], row, traceparent) for row in products.to_pylist()]

    async def withdraw(self, product_id: str, traceparent: bytes | None) -> Place | Undelivered:
        if self.fault is not None:
            raise self.fault
        return self._append(product_id, None, traceparent)

    def _append(
        self, product_id: str, value: dict[str, Any] | None, traceparent: bytes | None
    ) -> Place | Undelivered:
        if product_id.startswith("lost"):
            return Undelivered("timed out", "unknown")
        if product_id.startswith("full"):
            return Undelivered("queue full", "unsent")
        if product_id.startswith("large"):
            return Undelivered("too large", "too-large")
        self.log.append((product_id, value, traceparent))
        return Place(TOPIC, 0, len(self.log) - 1)


@pytest.fixture
def writer() -> MemoryWriter:
    return MemoryWriter()


@pytest.fixture
def publishing(tiny_model: DescribedModel, writer: MemoryWriter) -> Iterator[Gateway]:
    slot = ModelSlot(tiny_model)
    metrics = Metrics(slot)
    deciders = Deciders(slot, metrics, max_batch=5)
    publisher = Publisher(writer, registry=metrics.registry, max_batch=5)
    parts = Parts(slot=slot, metrics=metrics, deciders=deciders, routers=[publishing_router(publisher)])
    yield Gateway(create_app(parts), parts)
    deciders.close()


def _place(product_id: str, offset: int) -> dict[str, Any]:
    return {"product_id": product_id, "topic": TOPIC, "partition": 0, "offset": offset}


async def test_a_product_is_published_as_sent_and_its_place_is_told(
    publishing: Gateway, writer: MemoryWriter
) -> None:
    answer = await publishing.post("/products", product("p-1", price_minor=5, created_at="2026-01-01T00:00:00Z"))
    assert answer.status_code == 202
    assert answer.json() == {"published": [_place("p-1", 0)]}
    ((_, row, traceparent),) = writer.log
    assert row is not None
    assert (row["title"], row["price_minor"], row["created_at"]) == ("lamp", 5, 1_767_225_600_000)
    assert traceparent is None


async def test_of_several_the_good_are_published_and_the_bad_have_their_error_in_place(
    publishing: Gateway, writer: MemoryWriter
) -> None:
    products = [product("a"), product("b", " "), product("lost-c"), {"product_id": "d"}, product("e")]
    answer = await publishing.post("/products", {"products": products})
    assert answer.status_code == 202
    first, blank, lost, malformed, last = answer.json()["published"]
    assert (first, last) == (_place("a", 0), _place("e", 1))
    assert (blank["product_id"], blank["error"]["status"]) == ("b", 422)
    assert "title is blank" in blank["error"]["detail"]
    assert (lost["product_id"], lost["error"]["status"]) == ("lost-c", 503)
    assert "may be there or not" in lost["error"]["detail"]
    assert (malformed["product_id"], malformed["error"]["detail"]) == ("d", "title is missing")
    assert [product_id for product_id, _, _ in writer.log] == ["a", "e"]


async def test_if_all_are_bad_the_whole_is_422_with_the_same_list(
    publishing: Gateway, writer: MemoryWriter
) -> None:
    answer = await publishing.post("/products", {"products": [product("b", " "), {"product_id": 3}]})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [one["error"]["status"] for one in answer.json()["published"]] == [422, 422]
    assert [one["product_id"] for one in answer.json()["published"]] == ["b", None]
    assert not writer.log


async def test_if_none_is_confirmed_the_whole_is_503_and_says_when_to_come_again(publishing: Gateway) -> None:
    answer = await publishing.post("/products", {"products": [product("lost"), product("b", " ")]})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"
    assert [one["error"]["status"] for one in answer.json()["published"]] == [503, 422]


@pytest.mark.parametrize(
    ("product_id", "status", "words"),
    [
        ("lost", 503, "may be there or not"),
        ("full", 503, "was not published (queue full)"),
        ("large", 422, "larger than Kafka takes"),
    ],
)
async def test_a_single_product_s_fate_is_told_by_the_status(
    publishing: Gateway, product_id: str, status: int, words: str
) -> None:
    answer = await publishing.post("/products", product(product_id))
    assert answer.status_code == status
    assert words in answer.json()["detail"]
    assert ("retry-after" in answer.headers) == (status == 503)


@pytest.mark.parametrize("body", [product("a", " "), {"title": "lamp"}, {"products": []}, {"products": 3}, []])
async def test_what_is_no_valid_product_is_422_also_while_kafka_is_away(
    publishing: Gateway, writer: MemoryWriter, body: object
) -> None:
    writer.fault = DependencyUnavailableError("Kafka at broker.internal:9092 does not answer")
    assert (await publishing.post("/products", body)).status_code == 422


@pytest.mark.parametrize(
    "fault",
    [DependencyUnavailableError("Kafka at broker.internal:9092"), SetupError("topic at broker.internal:9092")],
)
async def test_what_is_away_is_503_and_only_the_log_knows_its_address(
    publishing: Gateway, writer: MemoryWriter, fault: SortlineError, caplog: pytest.LogCaptureFixture
) -> None:
    writer.fault = fault
    async with publishing.client() as client:
        for answer in (await client.post("/products", json=product()), await client.delete("/products/p-1")):
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "2"
            assert "nothing was published" in answer.json()["detail"]
            assert "internal" not in answer.text
    assert all("broker.internal" in vars(record)["reason"] for record in caplog.records)


async def test_more_than_the_largest_batch_is_refused_whole(publishing: Gateway, writer: MemoryWriter) -> None:
    answer = await publishing.post("/products", {"products": [product(str(n)) for n in range(6)]})
    assert answer.status_code == 413
    assert not writer.log


async def test_a_title_may_be_the_word_products(publishing: Gateway, writer: MemoryWriter) -> None:
    assert (await publishing.post("/products", product("a", "products"))).status_code == 202
    assert [product_id for product_id, _, _ in writer.log] == ["a"]


async def test_the_trace_of_a_request_goes_on_and_what_is_none_does_not(
    publishing: Gateway, writer: MemoryWriter
) -> None:
    async with publishing.client() as client:
        for found in (TRACEPARENT, TRACEPARENT.upper(), "x"):
            await client.post("/products", json=product(), headers={"traceparent": found})
        await client.delete("/products/p-1", headers={"traceparent": TRACEPARENT})
    assert [traceparent for _, _, traceparent in writer.log] == [
        TRACEPARENT.encode(),
        None,
        None,
        TRACEPARENT.encode(),
    ]


@pytest.mark.parametrize(
    ("path", "product_id"), [("p-1", "p-1"), ("a%2Fb%20c", "a/b c"), ("%E6%9D%B1", "東"), ("a%0Ab%0A", "a\nb\n")]
)
async def test_a_withdrawn_product_leaves_a_tombstone(
    publishing: Gateway, writer: MemoryWriter, path: str, product_id: str
) -> None:
    async with publishing.client() as client:
        answer = await client.delete(f"/products/{path}")
    assert answer.status_code == 202
    assert answer.json() == {"published": [_place(product_id, 0)]}
    assert writer.log == [(product_id, None, None)]


@pytest.mark.parametrize("path", ["", "x" * 257, "%FF"])
async def test_what_can_be_no_key_is_not_withdrawn(publishing: Gateway, writer: MemoryWriter, path: str) -> None:
    async with publishing.client() as client:
        answer = await client.delete(f"/products/{path}")
    assert answer.status_code == 422
    assert "product_id" in answer.json()["detail"]
    assert not writer.log


async def test_what_became_of_products_is_counted(publishing: Gateway) -> None:
    await publishing.post(
        "/products", {"products": [product("a"), product("b", " "), {"product_id": "c"}, product("lost")]}
    )
    metrics = (await publishing.get("/metrics")).text
    for outcome, n in (("published", 1), ("refused", 2), ("unconfirmed", 1)):
        assert f'sortline_http_published_products_total{{outcome="{outcome}"}} {n}.0' in metrics
