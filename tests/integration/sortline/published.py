"""Topics in which a worker has published its decisions, for tests that look back at them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from confluent_kafka import Producer

from schemas import columns
from schemas.avro_files import load_schema
from schemas.encoding import Encoder
from schemas.registry import ConfluentRegistry
from schemas.topics import TopicNames
from sortline.broker import delete_topics
from sortline.demo.surroundings import WorkerProcess
from sortline.main import main
from sortline.range_reader import RangeReader
from sortline.topic_reader import TopicRecord
from sortline.topic_rows import header_text
from tests.tiny_model import build_tiny_bundle, tiny_products

N_PRODUCTS = 400
N_BROKEN = 3
PARTITIONS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a command printed."""

    stdout: str
    stderr: str


@dataclass(slots=True, kw_only=True)
class Published:
    """The topics, what is in them, and the models.

    Attributes:
        bundle: the one that the worker ran; `other_bundle` sends much more to review.
        inputs: everything in products.created, withdrawals and broken values among them.
        outputs: what readers of committed transactions see, by topic.
        short_lived: the first record of partition 2; a test may delete it.
    """

    bootstrap: str
    registry_url: str
    names: TopicNames
    prefix: str
    folder: Path
    bundle: Path
    other_bundle: Path
    inputs: list[TopicRecord] = field(default_factory=list)
    outputs: dict[str, list[TopicRecord]] = field(default_factory=dict)

    @property
    def short_lived(self) -> tuple[str, int, int]:
        return (self.names.created, 2, 0)

    @property
    def every_output(self) -> list[TopicRecord]:
        return [record for records in self.outputs.values() for record in records]

    def source_of(self, record: TopicRecord) -> tuple[str, int, int]:
        topic, partition, offset = (header_text(record, "ce_id") or "?/-1/-1").split("/")
        return (topic, int(partition), int(offset))

    def read(self, topic: str) -> list[TopicRecord]:
        with RangeReader(self.bootstrap, topic) as reader:
            return [record for batch in reader.batches() for record in batch]

    @property
    def tracking_uri(self) -> str:
        return f"sqlite:///{self.folder}/mlflow.db"

    @property
    def surroundings(self) -> list[str]:
        return [*("--bootstrap", self.bootstrap, "--registry", self.registry_url, "--topic-prefix", self.prefix)]

    def run(self, command: str, *arguments: object, exit_code: int = 0) -> Output:
        """Run a command on these topics; an unexpected exit code fails the test."""
        stdout, stderr = io.StringIO(), io.StringIO()
        uri = ("--tracking-uri", self.tracking_uri)
        with redirect_stdout(stdout), redirect_stderr(stderr):
            code = main([command, *self.surroundings, *uri, *map(str, arguments)])
        assert code == exit_code, stdout.getvalue() + stderr.getvalue()
        return Output(stdout=stdout.getvalue(), stderr=stderr.getvalue())


@contextlib.contextmanager
def publish(
    bootstrap: str, registry_url: str, prefix: str, folder: Path, apply: Callable[[TopicNames], None]
) -> Iterator[Published]:
    """Let a worker decide on products, withdrawals and broken values, exactly once, and give what came of it."""
    names = TopicNames.with_prefix(prefix)
    apply(names)
    published = Published(
        bootstrap=bootstrap,
        registry_url=registry_url,
        names=names,
        prefix=prefix,
        folder=folder,
        bundle=build_tiny_bundle(folder / "bundle", threshold=0.5),
        other_bundle=build_tiny_bundle(folder / "other", threshold=0.9999),
    )
    with closing(ConfluentRegistry(registry_url)) as registry:
        _produce(published, registry)
    worker = WorkerProcess(
        ["--model", str(published.bundle), *published.surroundings, "--group-id", f"{prefix}workers"],
        log=folder / "worker.log",
    )
    topics = (names.categorized, names.review, names.dead_letters)
    try:
        worker.wait_until_ready()
        published.inputs = published.read(names.created)
        while sum(map(len, published.outputs.values())) < len(published.inputs):
            worker.require_alive()
            published.outputs = {topic: published.read(topic) for topic in topics}
    finally:
        worker.stop()
    yield published
    delete_topics(bootstrap, [*topics, names.created])


def _produce(published: Published, registry: ConfluentRegistry) -> None:
    names, products = published.names, tiny_products(N_PRODUCTS // 5).select(columns.PRODUCT.names)
    titles = products["title"].to_pylist()
    strange = [f"Xylqz <b>{at}</b>" if at % 10 == 9 else title for at, title in enumerate(titles)]
    batch = products.set_column(1, columns.PRODUCT.field("title"), pa.array(strange, pa.string()))
    schema = load_schema("product_created")
    values = Encoder(schema, registry.register(f"{names.created}-value", schema)).encode(batch)
    keys = [str(one).encode() for one in batch["product_id"].to_pylist()]
    rows: list[tuple[bytes, bytes | None]] = list(zip(keys, values, strict=True))
    rows += [(b"broken", b"{}")] * N_BROKEN + [(keys[0], None)]
    producer = Producer({"bootstrap.servers": published.bootstrap})
    to: dict[str, Any] = {}
    for at, (key, value) in enumerate(rows):
        to["partition"] = at % PARTITIONS
        producer.produce(names.created, value, key, **to)
    assert producer.flush(30) == 0
