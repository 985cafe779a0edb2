"""The snapshot on a real broker and a real registry."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from features.spec import Profile
from schemas.avro_files import load_schema
from schemas.encoding import Encoder
from schemas.errors import DependencyUnavailableError, SetupError
from schemas.product_files import read_products
from schemas.registry import ConfluentRegistry
from schemas.topics import TopicNames
from tests.unit.training.made_catalog import made_products
from training.catalog import content_digest
from training.fit import fit_bundle
from training.progress import SilentProgress
from training.snapshot import Snapshot, read_snapshot, take_snapshot

pytestmark = pytest.mark.integration

SCHEMA = load_schema("labelled_product")
Record = tuple[bytes, bytes | None]


@pytest.fixture
def registry(registry_url: str) -> Iterator[ConfluentRegistry]:
    with closing(ConfluentRegistry(registry_url)) as registry:
        yield registry


@pytest.fixture
def encoder(registry: ConfluentRegistry, topics: TopicNames) -> Encoder:
    return Encoder(SCHEMA, registry.register(f"{topics.catalog}-value", SCHEMA))


@pytest.fixture
def quickly_compacted(bootstrap: str) -> Iterator[str]:
    """A topic whose records are compacted as soon as the broker's cleaner looks at it."""
    topic = f"t{uuid.uuid4().hex[:10]}.compacted"
    settings = {
        "cleanup.policy": "compact",
        "segment.ms": "50",
        "min.cleanable.dirty.ratio": "0.0",
        "delete.retention.ms": "0",
        "min.compaction.lag.ms": "0",
    }
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, 2, 1, config=settings)])[topic].result(30)
    yield topic
    admin.delete_topics([topic])[topic].result(30)


def records(products: pa.Table, encoder: Encoder) -> list[Record]:
    values = encoder.encode(products.combine_chunks().to_batches()[0])
    return [
        (str(key).encode(), value) for key, value in zip(products["product_id"].to_pylist(), values, strict=True)
    ]


def produce(bootstrap: str, topic: str, some: Iterable[Record]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5})
    for key, value in some:
        producer.produce(topic, value, key)
        producer.poll(0)
    assert producer.flush(30) == 0


def snapshot(bootstrap: str, registry: ConfluentRegistry, topic: str, to: Path) -> Snapshot:
    return take_snapshot(bootstrap=bootstrap, registry=registry, topic=topic, to=to, progress=SilentProgress())


def lively(products: pa.Table, encoder: Encoder, seed: int) -> list[Record]:
    """The products in disorder, with superseded versions before them and products that were removed again."""
    random = np.random.default_rng(seed)
    older = made_products(products.num_rows, seed=99).take(random.permutation(products.num_rows)[:150])
    gone = [(f"gone-{i}".encode(), records(products, encoder)[i][1]) for i in range(20)]
    return [
        *records(older, encoder),
        *gone,
        (b"p00003", None),
        *records(products.take(random.permutation(products.num_rows)), encoder),
        *((key, None) for key, _ in gone),
    ]


@pytest.mark.parametrize("profile", ["text", "classic"])
def test_a_topic_and_a_file_of_the_same_rows_give_the_same_digest_and_the_same_bundle(
    profile: Profile,
    bootstrap: str,
    registry: ConfluentRegistry,
    encoder: Encoder,
    topics: TopicNames,
    tmp_path: Path,
) -> None:
    pq.write_table(made_products(400), tmp_path / "products.parquet")
    from_file = read_products(tmp_path / "products.parquet", labelled=True)
    produce(bootstrap, topics.catalog, lively(made_products(400), encoder, seed=1))
    taken = snapshot(bootstrap, registry, topics.catalog, tmp_path / "snapshot.parquet")
    from_topic = read_snapshot(tmp_path / "snapshot.parquet").products

    assert taken.lineage.content_digest == content_digest(from_file)
    assert (taken.lineage.rows, taken.lineage.removed, taken.lineage.rejected) == (400, 20, 0)
    bundles = {}
    for name, products in (("file", from_file), ("topic", from_topic)):
        fit_bundle(
            products,
            profile=profile,
            seed=5,
            to=tmp_path / name,
            min_products=10,
            lineage=taken.lineage.to_json() if name == "topic" else {"file": "products.parquet"},
            progress=SilentProgress(),
        )
        files = {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()}
        manifest = json.loads(files.pop("manifest.json"))
        assert manifest["lineage"]["content_digest"] == taken.lineage.content_digest
        for differs in ("created_at", "seal", "lineage"):
            del manifest[differs]
        bundles[name] = (files, manifest)
    assert bundles["file"] == bundles["topic"]


def test_a_run_s_dataset_can_be_read_again_until_its_products_change(
    bootstrap: str,
    registry_url: str,
    registry: ConfluentRegistry,
    encoder: Encoder,
    topics: TopicNames,
    tmp_path: Path,
) -> None:
    from mlflow.data.dataset_source_registry import resolve_dataset_source

    produce(bootstrap, topics.catalog, records(made_products(20), encoder))
    taken = take_snapshot(
        bootstrap=bootstrap, registry=registry, topic=topics.catalog, to=None, progress=SilentProgress()
    )
    dataset: Any = resolve_dataset_source(taken.lineage)  # its `load` takes what this source needs
    again = dataset.load(bootstrap=bootstrap, registry_url=registry_url, to=tmp_path / "again.parquet")
    assert read_snapshot(again).products.equals(taken.products)

    produce(bootstrap, topics.catalog, [(b"p00003", None)])
    with pytest.raises(SetupError, match="holds other products by now"):
        dataset.load(bootstrap=bootstrap, registry_url=registry_url, to=tmp_path / "later.parquet")
    assert not (tmp_path / "later.parquet").exists()


def test_arrival_partitions_and_compaction_do_not_change_the_digest(
    bootstrap: str,
    registry: ConfluentRegistry,
    encoder: Encoder,
    topics: TopicNames,
    quickly_compacted: str,
    tmp_path: Path,
) -> None:
    products = made_products(300)
    produce(bootstrap, topics.catalog, records(products, encoder))
    plain = snapshot(bootstrap, registry, topics.catalog, tmp_path / "plain.parquet")

    arrived = lively(products, encoder, seed=2)
    produce(bootstrap, quickly_compacted, arrived)
    before = snapshot(bootstrap, registry, quickly_compacted, tmp_path / "before.parquet")
    # A record in every partition closes the segments before it, which makes them fit for compaction.
    nudge = Producer({"bootstrap.servers": bootstrap})
    deadline = time.monotonic() + 120
    while count_records(bootstrap, quickly_compacted) >= len(arrived) - 100:
        assert time.monotonic() < deadline, "the broker did not compact the topic"
        for partition in (0, 1):
            nudge.produce(quickly_compacted, None, b"-", partition)
        assert nudge.flush(30) == 0
    after = snapshot(bootstrap, registry, quickly_compacted, tmp_path / "after.parquet")

    assert plain.lineage.content_digest == content_digest(products)
    assert before.lineage.content_digest == plain.lineage.content_digest
    assert after.lineage.content_digest == plain.lineage.content_digest
    assert after.products.equals(plain.products)


def test_only_committed_records_count_and_an_open_transaction_does_not_hold_the_snapshot_up(
    bootstrap: str, registry: ConfluentRegistry, encoder: Encoder, topics: TopicNames, tmp_path: Path
) -> None:
    products = made_products(30)
    transactional = Producer({"bootstrap.servers": bootstrap, "transactional.id": topics.catalog})
    transactional.init_transactions(30)
    for some, is_wanted in ((products, True), (made_products(40, seed=4), False)):
        transactional.begin_transaction()
        for key, value in records(some, encoder):
            transactional.produce(topics.catalog, value, key)
        transactional.commit_transaction(30) if is_wanted else transactional.abort_transaction(30)
    # Every partition now ends in transaction markers and aborted records, none of which is ever delivered.
    after_abort = snapshot(bootstrap, registry, topics.catalog, tmp_path / "aborted.parquet")
    transactional.begin_transaction()
    transactional.produce(topics.catalog, None, b"p00000")
    assert transactional.flush(30) == 0
    while_open = snapshot(bootstrap, registry, topics.catalog, tmp_path / "open.parquet")
    transactional.abort_transaction(30)

    assert after_abort.products.equals(products)
    assert while_open.products.equals(products)


def test_a_snapshot_ends_where_the_topic_ended_when_it_began(
    bootstrap: str, registry: ConfluentRegistry, encoder: Encoder, topics: TopicNames, tmp_path: Path
) -> None:
    products = made_products(50)
    produce(bootstrap, topics.catalog, records(products, encoder))

    class LateProducer(SilentProgress):
        """Another product arrives once the ends were taken."""

        def step(self, name: str, total: int | None = None) -> None:
            if name.startswith("Reading"):
                produce(bootstrap, topics.catalog, records(made_products(60).slice(50), encoder))

    taken = take_snapshot(
        bootstrap=bootstrap,
        registry=registry,
        topic=topics.catalog,
        to=tmp_path / "snapshot.parquet",
        progress=LateProducer(),
    )

    assert taken.products.equals(products)
    assert sum(last - first + 1 for first, last in taken.lineage.offsets.values()) == 50
    assert snapshot(bootstrap, registry, topics.catalog, tmp_path / "later.parquet").products.num_rows == 60


def test_progress_adds_up_and_no_consumer_group_appears(
    bootstrap: str, registry: ConfluentRegistry, encoder: Encoder, topics: TopicNames, tmp_path: Path
) -> None:
    produce(bootstrap, topics.catalog, records(made_products(70), encoder))
    steps: dict[str, list[int]] = {}

    class Told:
        def step(self, name: str, total: int | None = None) -> None:
            steps[name] = [0, total or 0]

        def advance(self, amount: int = 1) -> None:
            steps[list(steps)[-1]][0] += amount

    take_snapshot(
        bootstrap=bootstrap, registry=registry, topic=topics.catalog, to=tmp_path / "s.parquet", progress=Told()
    )

    assert steps == {f"Reading {topics.catalog}": [70, 70], "Decoding": [70, 70]}
    groups = AdminClient({"bootstrap.servers": bootstrap}).list_consumer_groups().result(30)
    assert "sortline-snapshot" not in {group.group_id for group in groups.valid}


def test_missing_and_empty_topics_are_refused_with_what_to_do(
    bootstrap: str, registry: ConfluentRegistry, topics: TopicNames, tmp_path: Path
) -> None:
    with pytest.raises(SetupError, match=r"no topic .*missing.*sortline produce FILE --catalog"):
        snapshot(bootstrap, registry, f"{topics.catalog}.missing", tmp_path / "s.parquet")
    with pytest.raises(SetupError, match=r"holds no products.*sortline produce FILE --catalog"):
        snapshot(bootstrap, registry, topics.catalog, tmp_path / "s.parquet")
    assert not list(tmp_path.iterdir())


def test_a_broker_that_is_away_is_named(registry: ConfluentRegistry, tmp_path: Path) -> None:
    with pytest.raises(DependencyUnavailableError, match=r"Kafka at 127\.0\.0\.1:1 .*products\.catalog"):
        take_snapshot(
            bootstrap="127.0.0.1:1",
            registry=registry,
            topic="products.catalog",
            to=tmp_path / "s.parquet",
            progress=SilentProgress(),
            stall_seconds=2,
        )


def count_records(bootstrap: str, topic: str) -> int:
    """Count what a topic of two partitions still holds."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "count",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    consumer.assign([TopicPartition(topic, partition, 0) for partition in (0, 1)])
    n_records, n_ended = 0, 0
    while n_ended < 2:
        for message in consumer.consume(1000, 1.0):
            n_ended += message.error() is not None
            n_records += message.error() is None
    consumer.close()
    return n_records
