"""Products over HTTP onto a real Kafka: confirmed ones are there, once; the others are told of."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from gateway.problems import handle_problems
from gateway.product_writer import KafkaProductWriter
from gateway.publishing import Publisher, publishing_router
from schemas.avro_files import load_schema
from schemas.columns import PRODUCT
from schemas.decoding import Decoder
from schemas.registry import ConfluentRegistry
from schemas.topics import TopicNames
from tests.integration.conftest import Broker
from tests.integration.gateway.topic_content import topic_content
from tests.integration.streams.tcp_proxy import TcpProxy
from tests.tiny_model import build_tiny_bundle

pytestmark = pytest.mark.integration

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
#: Short, so that an outage is told of soon.
WAIT_SECONDS = 1.5


@asynccontextmanager
async def gateway(bootstrap: str, registry_url: str, topics: TopicNames) -> AsyncIterator[httpx.AsyncClient]:
    """The pages for publishing, on a real Kafka, in this process."""
    with closing(ConfluentRegistry(registry_url, timeout_seconds=WAIT_SECONDS)) as registry:
        writer = KafkaProductWriter(
            topic=topics.created, bootstrap=bootstrap, registry=registry, wait_seconds=WAIT_SECONDS
        )
        app = FastAPI()
        app.include_router(publishing_router(Publisher(writer, registry=CollectorRegistry(), max_batch=1_000)))
        handle_problems(app)
        transport = httpx.ASGITransport(app)
        async with (
            writer.running(),
            httpx.AsyncClient(transport=transport, base_url="http://g", timeout=60) as one,
        ):
            yield one


def product(product_id: str, **fields: Any) -> dict[str, Any]:
    return {"product_id": product_id, "title": f"Lamp {product_id}", **fields}


async def test_a_published_product_is_in_the_topic_as_it_was_sent(
    bootstrap: str, registry_url: str, topics: TopicNames
) -> None:
    sent = product("東-1", price_minor=12_99, currency="EUR", rating=4.5, created_at=1_767_225_600_123)
    async with gateway(bootstrap, registry_url, topics) as client:
        answer = await client.post("/products", json=sent, headers={"traceparent": TRACEPARENT})
    assert answer.status_code == 202, answer.text
    (record,) = topic_content(bootstrap, topics.created)
    place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
    assert answer.json() == {"published": [{"product_id": "東-1", **place}]}
    assert record.key == "東-1".encode()
    assert record.value is not None
    with closing(ConfluentRegistry(registry_url)) as registry:
        decoded = Decoder(registry, load_schema("product_created"), PRODUCT).decode([record.value])
    (row,) = decoded.batch.to_pylist()
    assert round(row.pop("created_at").timestamp() * 1000) == sent.pop("created_at")
    assert {name: value for name, value in row.items() if value is not None} == sent
    headers = dict(record.headers)
    assert headers["ce_type"] == b"io.sortline.product.created.v1"
    assert headers["ce_source"] == b"/sortline/serve"
    assert headers["traceparent"] == TRACEPARENT.encode()


async def test_a_batch_is_published_once_and_a_withdrawal_follows_its_product(
    bootstrap: str, registry_url: str, topics: TopicNames
) -> None:
    products = [product(f"p-{number}") for number in range(500)]
    async with gateway(bootstrap, registry_url, topics) as client:
        answer = await client.post("/products", json={"products": products})
        withdrawn = await client.delete("/products/p-7")
    assert (answer.status_code, withdrawn.status_code) == (202, 202)
    records = topic_content(bootstrap, topics.created)
    told = {(one["product_id"], one["partition"], one["offset"]) for one in answer.json()["published"]}
    there = {((record.key or b"").decode(), record.partition, record.offset) for record in records if record.value}
    assert told == there
    assert len(told) == 500
    (tombstone,) = [record for record in records if record.value is None]
    (before,) = [record for record in records if record.key == b"p-7" and record.value]
    assert tombstone.key == b"p-7"
    assert (tombstone.partition, tombstone.offset > before.offset) == (before.partition, True)


async def test_a_topic_that_does_not_exist_is_not_created(
    bootstrap: str, registry_url: str, topics: TopicNames
) -> None:
    wrong = TopicNames.with_prefix(topics.created.replace(TopicNames().created, "wrong."))
    async with gateway(bootstrap, registry_url, wrong) as client:
        assert (await client.post("/products", json=product("p"))).status_code == 503
        assert (await client.delete("/products/p")).status_code == 503
    with pytest.raises(Exception, match="does not exist"):
        topic_content(bootstrap, wrong.created)


async def test_a_registry_that_is_away_is_told_of_and_missed_only_until_the_schema_is_known(
    bootstrap: str, registry_url: str, topics: TopicNames
) -> None:
    address = urlsplit(registry_url)
    with closing(TcpProxy(address.hostname or "", address.port or 0)) as proxy:
        proxy.cut()
        through = urlunsplit(address._replace(netloc=f"127.0.0.1:{proxy.port}"))
        async with gateway(bootstrap, through, topics) as client:
            away = await client.post("/products", json=product("p-1"))
            assert away.status_code == 503
            assert int(away.headers["retry-after"]) > 0
            proxy.mend()
            assert (await client.post("/products", json=product("p-1"))).status_code == 202
            proxy.cut()
            assert (await client.post("/products", json=product("p-2"))).status_code == 202
    assert sorted(record.key or b"" for record in topic_content(bootstrap, topics.created)) == [b"p-1", b"p-2"]


async def test_while_the_broker_is_away_products_are_refused_and_afterwards_each_confirmed_one_is_there_once(
    bootstrap: str, registry_url: str, topics: TopicNames, broker: Broker
) -> None:
    confirmed: list[str] = []
    refused: list[str] = []

    async def publish(client: httpx.AsyncClient, product_id: str) -> int:
        answer = await client.post("/products", json=product(product_id))
        (confirmed if answer.status_code == 202 else refused).append(product_id)
        if answer.status_code != 202:
            assert answer.status_code == 503, answer.text
            assert int(answer.headers["retry-after"]) > 0
        return answer.status_code

    async with gateway(bootstrap, registry_url, topics) as client:
        await asyncio.gather(*(publish(client, f"before-{number}") for number in range(20)))
        assert not refused
        await asyncio.to_thread(broker.pause)
        await asyncio.gather(*(publish(client, f"while-{number}") for number in range(20)))
        assert len(refused) == 20
        await asyncio.to_thread(broker.unpause)
        number = 0
        while await publish(client, f"after-{number}") != 202:  # until the client has found the broker again
            number += 1
            assert number < 40
        await asyncio.gather(*(publish(client, f"later-{number}") for number in range(20)))
    found = [(record.key or b"").decode() for record in topic_content(bootstrap, topics.created)]
    assert {one: found.count(one) for one in confirmed} == dict.fromkeys(confirmed, 1)
    # What was refused may be there: it was on its way when the broker froze. Not more than once, and nothing else.
    assert {one: found.count(one) <= 1 for one in refused} == dict.fromkeys(refused, True)
    assert set(found) <= {*confirmed, *refused}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_bundle(tmp_path_factory.mktemp("gateway") / "tiny")


@pytest.fixture
def served(
    bundle: Path, bootstrap: str, registry_url: str, topics: TopicNames, tmp_path: Path
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`sortline serve` as people run it, and its address."""
    prefix = topics.created.removesuffix(TopicNames().created)
    log = tmp_path / "serve.log"
    command = [sys.executable, "-m", "sortline", "serve", "--model", str(bundle), "--port", "0"]
    command += ["--bootstrap", bootstrap, "--registry", registry_url, "--topic-prefix", prefix]
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            yield process, _address(log, process)
        finally:
            process.kill()


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    end = time.monotonic() + 90
    while time.monotonic() < end and process.poll() is None:
        for line in log.read_text().splitlines():
            if "gateway listening" in line:
                return f"http://127.0.0.1:{line.split('port=')[1].split()[0]}"
        time.sleep(0.05)
    pytest.fail(log.read_text())


async def test_sigterm_under_load_leaves_no_request_without_an_answer_and_no_confirmed_product_behind(
    served: tuple[subprocess.Popen[bytes], str], bootstrap: str, topics: TopicNames
) -> None:
    process, address = served
    limits = httpx.Limits(max_connections=20)
    confirmed: list[str] = []
    unanswered: list[str] = []
    is_told = asyncio.Event()

    async def publish(client: httpx.AsyncClient, worker: int) -> None:
        for number in range(100_000):
            one = f"{worker}-{number}"
            try:
                answer = await client.post("/products", json=product(one))
            except httpx.ConnectError:
                return  # nobody listens any more
            except (httpx.ReadError, httpx.RemoteProtocolError):
                # Its connection was closed while it was idle: the server had not seen the request.
                unanswered.append(one)
                return
            assert answer.status_code == 202
            confirmed.append(one)
            if len(confirmed) >= 300 and not is_told.is_set():
                is_told.set()
                process.send_signal(signal.SIGTERM)

    async with httpx.AsyncClient(base_url=address, limits=limits, timeout=60) as client:
        await asyncio.gather(*(publish(client, worker) for worker in range(20)))
    assert await asyncio.to_thread(process.wait, 30) == 0
    found = [(record.key or b"").decode() for record in topic_content(bootstrap, topics.created)]
    assert sorted(found) == sorted(confirmed), json.dumps(unanswered)


async def test_sigterm_while_the_broker_is_frozen_answers_what_waits_with_503_and_ends_in_order(
    served: tuple[subprocess.Popen[bytes], str], broker: Broker
) -> None:
    process, address = served
    async with httpx.AsyncClient(base_url=address, timeout=60) as client:
        assert (await client.post("/products", json=product("before"))).status_code == 202
        await asyncio.to_thread(broker.pause)
        is_sent = asyncio.Event()

        async def trace(event: str, _info: object) -> None:
            if event == "http11.send_request_body.complete":
                is_sent.set()

        waiting = asyncio.ensure_future(
            client.post("/products", json=product("waits"), extensions={"trace": trace})
        )
        await is_sent.wait()
        await client.get("/health")  # by a new connection: the server has read what came on the older one before
        process.send_signal(signal.SIGTERM)
        answer = await waiting
    assert answer.status_code == 503
    assert "may be there or not" in answer.json()["detail"]
    assert await asyncio.to_thread(process.wait, 30) == 0
