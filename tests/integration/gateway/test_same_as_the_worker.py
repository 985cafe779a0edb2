"""A worker on Kafka and a `sortline serve` process over sockets, of the same model, answer the same."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest

from schemas import columns
from schemas.avro_files import load_schema
from schemas.decoding import Decoder
from schemas.product_files import read_products
from tests.integration.streams.conftest import Topics, WorkerProcess, bundle, new_worker, stream, wait_for
from tests.unit.gateway.the_stream import as_json

__all__ = ["bundle", "new_worker", "stream"]  # fixtures

pytestmark = pytest.mark.integration

_N_PRODUCTS = 300
_MODEL = ("feature_fingerprint", "taxonomy_version")


@dataclass
class ServeProcess:
    """`sortline serve` in a process of its own."""

    process: subprocess.Popen[bytes]
    log_file: Path

    def address(self) -> str:
        wait_for("the gateway to listen", lambda: self._found() or self.process.poll() is not None)
        found = self._found()
        assert found, self.log_file.read_text()
        return f"http://{found['host']}:{found['port']}"

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def _found(self) -> re.Match[str] | None:
        return re.search(r"gateway listening .*host=(?P<host>\S+) port=(?P<port>\d+)", self.log_file.read_text())


@pytest.fixture
def serve(bundle: Path, tmp_path: Path) -> Iterator[ServeProcess]:
    log_file = tmp_path / "serve.log"
    with log_file.open("wb") as log:
        command = [sys.executable, "-m", "sortline", "serve", "--model", str(bundle), "--port", "0"]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    yield ServeProcess(process, log_file)
    if process.poll() is None:
        process.kill()
        process.wait(10)


@pytest.fixture
def products(repository: Path) -> pa.RecordBatch:
    """Some of the sample catalogue."""
    table = read_products(repository / "sortline/sample_data/pcparts.parquet", labelled=False, limit=_N_PRODUCTS)
    return table.select(columns.PRODUCT.names).cast(columns.PRODUCT).combine_chunks().to_batches()[0]


def test_what_the_worker_publishes_is_what_the_gateway_answers(
    stream: Topics, new_worker: Callable[..., WorkerProcess], serve: ServeProcess, products: pa.RecordBatch
) -> None:
    worker = new_worker().start().wait_ready()
    ids = [str(one).encode() for one in products["product_id"].to_pylist()]
    stream.produce([*zip(ids, stream.encoder().encode(products), strict=True)])
    messages = stream.outputs(_N_PRODUCTS)
    decoder = Decoder(stream.registry, load_schema("product_categorized"), columns.PRODUCT_CATEGORIZED)
    events = {
        row["product_id"]: row
        for row in decoder.decode([one.value() or b"" for one in messages]).batch.to_pylist()
    }
    rows = [as_json(row) for row in products.to_pylist()]
    address = serve.address()
    with httpx.Client(base_url=address, timeout=30) as client:
        answer = client.post("/predict/batch", json={"products": rows}).json()
        singles = [client.post("/predict", json=row).json() for row in rows[:50]]
    model: dict[str, Any] = answer["model"]
    told = {"model_name": model["name"], "model_version": model["version"], **{one: model[one] for one in _MODEL}}
    assert len(answer["results"]) == len(events) == _N_PRODUCTS
    for decision in answer["results"]:
        event = events[decision["product_id"]]
        assert {**decision, **told} == {name: event[name] for name in (*decision, *told)}
    assert [{**one, "model": model} for one in answer["results"][:50]] == singles
    assert serve.stop() == 0
    assert worker.stop() == 0
