"""Workers as processes, and what goes in and comes out of their topics."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Final

import httpx
import pyarrow as pa
import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from compose.sockets import free_ports
from schemas import columns
from schemas.avro_files import load_schema
from schemas.encoding import Encoder
from schemas.registry import ConfluentRegistry
from schemas.topics import TopicNames
from streams.settings import WorkerSettings
from tests.tiny_model import build_tiny_bundle, tiny_products

#: Every wait ends here, with an error that says what was waited for.
PATIENCE_SECONDS: Final = 90.0

#: Importing the model's libraries takes seconds; workers are forked from a process that has done it.
_FORKED = multiprocessing.get_context("forkserver")


def wait_for(what: str, is_so: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            pytest.fail(f"waited {seconds:.0f} s in vain for: {what}")
        time.sleep(0.02)


def _run(settings: WorkerSettings, log_file: str) -> None:
    descriptor = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    from streams.worker import run_worker

    code = run_worker(settings)
    sys.stderr.flush()
    os._exit(code)


@dataclass
class WorkerProcess:
    """A worker in a process of its own."""

    settings: WorkerSettings
    log_file: Path
    process: ForkServerProcess | None = None
    # One for all questions: httpx.get makes a client with a TLS context each time, 30 ms of CPU that workers need.
    client: httpx.Client = field(
        default_factory=lambda: httpx.Client(timeout=5, headers={"connection": "close"}), repr=False
    )

    def start(self) -> WorkerProcess:
        self.process = _FORKED.Process(target=_run, args=(self.settings, str(self.log_file)))
        self.process.start()
        return self

    def get(self, page: str) -> httpx.Response | None:
        try:
            return self.client.get(f"http://127.0.0.1:{self.settings.web_port}{page}")
        except httpx.HTTPError:
            return None

    def is_ready(self) -> bool:
        answer = self.get("/ready")
        return answer is not None and answer.status_code == 200

    def wait_ready(self) -> WorkerProcess:
        wait_for("the worker to be ready", lambda: self.is_ready() or self.has_ended(), PATIENCE_SECONDS)
        assert not self.has_ended(), self.log()
        return self

    def metric(self, name: str) -> float:
        answer = self.get("/metrics")
        lines = answer.text.splitlines() if answer is not None else []
        return next((float(line.split()[1]) for line in lines if line.startswith(f"{name} ")), 0.0)

    def has_ended(self) -> bool:
        return self.process is None or not self.process.is_alive()

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def exit_code(self, seconds: float = PATIENCE_SECONDS) -> int | None:
        assert self.process is not None
        self.process.join(seconds)
        return self.process.exitcode

    def stop(self) -> int | None:
        self.signal(signal.SIGTERM)
        return self.exit_code()

    def kill(self) -> None:
        if self.process is not None and self.process.is_alive():
            self.process.kill()
            self.process.join(10)

    def log(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""


@dataclass
class Topics:
    """Writes the input of one test and reads its outputs."""

    bootstrap: str
    registry: ConfluentRegistry
    names: TopicNames
    products: pa.RecordBatch = field(default_factory=lambda: tiny_products().select(columns.PRODUCT.names))
    n_products: int = 0

    def producer(self, **config: Any) -> Producer:
        return Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 5, **config})

    def encoder(self) -> Encoder:
        schema = load_schema("product_created")
        return Encoder(schema, self.registry.register(f"{self.names.created}-value", schema))

    def values(self, n: int) -> list[tuple[bytes, bytes]]:
        """Return n products, key and value, with new ids; each tenth is like no category."""
        ids = [f"p-{self.n_products + i}" for i in range(n)]
        self.n_products += n
        rows = self.products.take(pa.array([i % self.products.num_rows for i in range(n)], pa.int64()))
        titles = ["Xylqz 0" if i % 10 == 9 else title for i, title in enumerate(rows["title"].to_pylist())]
        batch = rows.set_column(0, columns.PRODUCT.field("product_id"), pa.array(ids, pa.string()))
        batch = batch.set_column(1, columns.PRODUCT.field("title"), pa.array(titles, pa.string()))
        return list(zip([one.encode() for one in ids], self.encoder().encode(batch), strict=True))

    def produce(self, rows: Sequence[tuple[bytes | None, bytes | None]], **config: Any) -> None:
        producer = self.producer(**config)
        for key, value in rows:
            while True:
                try:
                    producer.produce(self.names.created, key=key, value=value, headers=[("from", b"test")])
                    break
                except BufferError:
                    producer.poll(0.1)
        assert producer.flush(PATIENCE_SECONDS) == 0

    def produce_products(self, n: int, **config: Any) -> None:
        self.produce(self.values(n), **config)

    def read(self, *topics: str, until: Callable[[list[Message]], bool]) -> list[Message]:
        """Read topics from the beginning until there is enough; fails after a while."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": f"read-{uuid.uuid4().hex}",
                "isolation.level": "read_committed",
            }
        )
        places: list[TopicPartition] = []
        for topic in topics:
            found = consumer.list_topics(topic, timeout=30).topics[topic].partitions
            places += [TopicPartition(topic, partition, 0) for partition in found]
        consumer.assign(places)
        messages: list[Message] = []
        end = time.monotonic() + PATIENCE_SECONDS
        while not until(messages):
            if time.monotonic() > end:
                counts = Counter(message.topic() for message in messages)
                pytest.fail(f"waited {PATIENCE_SECONDS:.0f} s for more than {dict(counts)}")
            messages += [one for one in consumer.consume(1_000, 0.2) if not one.error()]
        # What comes too late or too often is looked for a moment longer.
        quiet = time.monotonic() + 0.5
        while time.monotonic() < quiet:
            messages += [one for one in consumer.consume(1_000, 0.2) if not one.error()]
        consumer.close()
        return messages

    def outputs(self, n: int) -> list[Message]:
        """Read all three output topics until outputs of n different inputs are there."""
        names = self.names
        return self.read(
            names.categorized,
            names.review,
            names.dead_letters,
            until=lambda found: len({source(message) for message in found}) >= n,
        )

    def committed(self, group_id: str) -> int:
        """Return the sum of the group's committed offsets."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": group_id})
        partitions = consumer.list_topics(self.names.created, timeout=30).topics[self.names.created].partitions
        places = consumer.committed([TopicPartition(self.names.created, one) for one in partitions], timeout=30)
        consumer.close()
        return sum(max(0, place.offset) for place in places)


def source(message: Message) -> str:
    """Return the input that an output was made from: `topic/partition/offset`."""
    headers = dict(message.headers() or [])
    if "ce_id" in headers and "__connect.errors.topic" not in headers:
        return bytes(headers["ce_id"]).decode()
    return "/".join(bytes(headers[f"__connect.errors.{one}"]).decode() for one in ("topic", "partition", "offset"))


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small real model."""
    return build_tiny_bundle(tmp_path_factory.mktemp("model") / "tiny", threshold=0.9)


@pytest.fixture
def stream(bootstrap: str, registry_url: str, topics: TopicNames) -> Iterator[Topics]:
    registry = ConfluentRegistry(registry_url)
    yield Topics(bootstrap, registry, topics)
    registry.close()


@pytest.fixture
def new_worker(
    bundle: Path, bootstrap: str, registry_url: str, topics: TopicNames, tmp_path: Path
) -> Iterator[Callable[..., WorkerProcess]]:
    """Makes workers of one group, not started; those that still run at the end are killed."""
    _FORKED.set_forkserver_preload(["streams.worker", __name__])
    workers: list[WorkerProcess] = []
    defaults = WorkerSettings(
        model=str(bundle),
        bootstrap=bootstrap,
        registry_url=registry_url,
        topics=topics,
        group_id=f"g-{uuid.uuid4().hex[:10]}",
        delivery="at-least-once",
        commit_interval_seconds=0.2,
        session_timeout_seconds=6.0,
        startup_seconds=30.0,
    )

    def make(**settings: Any) -> WorkerProcess:
        (port,) = free_ports(1)
        chosen = dataclasses.replace(defaults, **{"web_port": port, **settings})
        worker = WorkerProcess(chosen, tmp_path / f"worker-{len(workers)}.log")
        workers.append(worker)
        return worker

    yield make
    for worker in workers:
        worker.kill()
