"""A registry that goes away while a worker runs: it waits, and loses nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import pyarrow as pa
import pytest

from schemas.avro_files import load_schema
from schemas.encoding import Encoder
from tests.integration.streams.conftest import Topics, WorkerProcess, wait_for
from tests.integration.streams.tcp_proxy import TcpProxy

if TYPE_CHECKING:
    from schemas.wire import SchemaId

pytestmark = pytest.mark.integration

COLOURED = load_schema("product_created")[: load_schema("product_created").rindex("]")] + (
    ', {"name": "colour", "type": ["null", "string"], "default": null, "doc": "Of the product."}]}'
)


@pytest.fixture
def proxy(registry_url: str) -> Iterator[TcpProxy]:
    address = urlsplit(registry_url)
    assert address.hostname
    assert address.port
    proxy = TcpProxy(address.hostname, address.port)
    yield proxy
    proxy.close()


def through(proxy: TcpProxy, url: str) -> str:
    return urlunsplit(urlsplit(url)._replace(netloc=f"127.0.0.1:{proxy.port}"))


def register_newer_schema(stream: Topics) -> SchemaId:
    json.loads(COLOURED)
    return stream.registry.register(f"{stream.names.created}-value", COLOURED)


def coloured(stream: Topics, schema_id: SchemaId, n: int) -> list[tuple[bytes, bytes]]:
    """Return products that a newer producer wrote."""
    ids = [f"c-{number}" for number in range(n)]
    batch = stream.products.take(pa.array([0] * n, pa.int64())).set_column(0, "product_id", pa.array(ids))
    batch = batch.append_column("colour", pa.array(["red"] * n))
    return list(zip([one.encode() for one in ids], Encoder(COLOURED, schema_id).encode(batch), strict=True))


def test_a_schema_that_cannot_be_looked_up_is_waited_for(
    stream: Topics, new_worker: Callable[..., WorkerProcess], proxy: TcpProxy, registry_url: str
) -> None:
    worker = new_worker(registry_url=through(proxy, registry_url)).start().wait_ready()
    stream.produce_products(50)
    stream.outputs(50)
    newer = register_newer_schema(stream)
    proxy.cut()
    stream.produce(coloured(stream, newer, 30))
    stream.produce_products(30)
    wait_for("a retry", lambda: worker.metric("sortline_dependency_retries_total") >= 2)
    health = worker.get("/health")
    assert health is not None
    assert health.status_code == 200
    proxy.mend()
    messages = stream.outputs(110)
    assert len(messages) == 110
    assert not [one for one in messages if one.topic() == stream.names.dead_letters]
    assert worker.stop() == 0
    assert stream.committed(worker.settings.group_id) == 110


def test_a_worker_told_to_stop_while_the_registry_is_away_stops_and_leaves_the_rest_to_the_next(
    stream: Topics, new_worker: Callable[..., WorkerProcess], proxy: TcpProxy, registry_url: str
) -> None:
    worker = new_worker(registry_url=through(proxy, registry_url)).start().wait_ready()
    newer = register_newer_schema(stream)
    proxy.cut()
    stream.produce(coloured(stream, newer, 30))
    wait_for("a retry", lambda: worker.metric("sortline_dependency_retries_total") >= 1)
    assert worker.stop() == 0
    assert stream.committed(worker.settings.group_id) == 0
    again = new_worker().start()
    assert len(stream.outputs(30)) == 30
    assert again.stop() == 0
