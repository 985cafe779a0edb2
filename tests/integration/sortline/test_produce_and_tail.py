from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest
from confluent_kafka import Producer

from schemas.product_files import read_products
from schemas.registry import ConfluentRegistry
from schemas.topics import TopicNames
from sortline.product_producer import produce_table
from sortline.topic_reader import TopicReader
from tests.topic_configs import set_topic_config

pytestmark = pytest.mark.integration


class Printed(Protocol):
    @property
    def stdout(self) -> str: ...
    @property
    def stderr(self) -> str: ...


Run = Callable[..., Printed]


def _lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_what_produce_puts_on_the_topic_tail_shows(run: Run, topics: TopicNames, sample_file: Path) -> None:
    produced = run("produce", sample_file, "--limit", 200)
    assert f"200 of 200 events delivered to {topics.created}" in produced.stdout

    rows = _lines(run("tail", "--topic", "created", "--from-beginning", "--limit", 200, "--json").stdout)
    sent = {row["product_id"]: row for row in read_products(sample_file, labelled=False, limit=200).to_pylist()}
    assert {row["key"] for row in rows} == set(sent)
    for row in rows:
        assert row["value"]["title"] == sent[row["key"]]["title"]
        assert row["value"]["price_minor"] == sent[row["key"]]["price_minor"]
        assert row["headers"]["ce_type"] == "io.sortline.product.created.v1"
    assert len({row["headers"]["ce_id"] for row in rows}) == 200
    assert {row["partition"] for row in rows} == {0, 1, 2}


def test_a_product_goes_where_java_clients_send_it(run: Run, topics: TopicNames, tmp_path: Path) -> None:
    file = tmp_path / "products.csv"
    # Murmur2 as in Kafka's own tests: "21" and "foobar" hash to -973932308 and -790332482.
    file.write_text("product_id,title\n21,Lamp\nfoobar,Desk\n")
    run("produce", file)
    rows = _lines(run("tail", "--topic", "created", "--from-beginning", "--limit", 2, "--json").stdout)
    expected = {key: (value & 0x7FFFFFFF) % 3 for key, value in (("21", -973932308), ("foobar", -790332482))}
    assert {row["key"]: row["partition"] for row in rows} == expected


def test_labelled_products_go_to_the_catalogue_with_their_category(
    run: Run, topics: TopicNames, sample_file: Path
) -> None:
    run("produce", sample_file, "--catalog", "--limit", 20)
    shown = run("tail", "--topic", topics.catalog, "--from-beginning", "--limit", 20).stdout
    assert shown.splitlines()[0].split() == ["product", "title", "category"]
    for product in read_products(sample_file, labelled=True, limit=20).to_pylist():
        assert " > ".join(product["category_path"]) in shown


def test_tail_from_now_on_shows_nothing_older(
    run: Run, topics: TopicNames, bootstrap: str, registry: ConfluentRegistry, sample_file: Path
) -> None:
    run("produce", sample_file, "--limit", 5)
    with TopicReader([topics.created], bootstrap=bootstrap, from_beginning=False) as reader:
        products = read_products(sample_file, labelled=False).slice(100, 7)
        report = produce_table(
            products, topic=topics.created, labelled=False, bootstrap=bootstrap, registry=registry
        )
        assert (report.delivered, report.failed) == (7, 0)
        keys: list[bytes | None] = []
        deadline = time.monotonic() + 20
        while len(keys) < 7 and time.monotonic() < deadline:
            keys += [record.key for record in reader.poll()]
        keys += [record.key for record in reader.poll()]
    assert sorted(str(key, "utf-8") for key in keys if key) == sorted(map(str, products["product_id"].to_pylist()))


def test_a_rate_is_kept(
    topics: TopicNames, bootstrap: str, registry: ConfluentRegistry, sample_file: Path
) -> None:
    report = produce_table(
        read_products(sample_file, labelled=False, limit=100),
        topic=topics.created,
        labelled=False,
        bootstrap=bootstrap,
        registry=registry,
        rate=100.0,
    )
    assert report.delivered == 100
    assert report.seconds == pytest.approx(1.0, abs=0.4)


def test_a_topic_that_is_not_there_is_not_created(run: Run, sample_file: Path, bootstrap: str) -> None:
    result = run("produce", sample_file, "--topic-prefix", "nowhere.", "--limit", 1, exit_code=2)
    assert result.stderr.splitlines()[-1] == (
        f"error: topic nowhere.products.created does not exist at {bootstrap}: `sortline topics apply` creates it"
    )


def test_a_broker_that_does_not_answer_is_one_sentence(run: Run, sample_file: Path) -> None:
    result = run("produce", sample_file, "--bootstrap", "127.0.0.1:1", "--limit", 1, exit_code=1)
    assert result.stderr.splitlines()[-1].startswith("error: Kafka at 127.0.0.1:1 does not answer (")


def test_a_record_too_large_is_counted_as_failed(
    run: Run, topics: TopicNames, bootstrap: str, tmp_path: Path
) -> None:
    set_topic_config(bootstrap, topics.created, "max.message.bytes", "2000")
    file = tmp_path / "products.jsonl"
    # Random letters: lz4 would make a repeated one small enough.
    long_title = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=20_000))
    rows = [{"product_id": "small", "title": "Lamp"}, {"product_id": "large", "title": long_title}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = run("produce", file, exit_code=1)
    assert "1 events were not delivered" in result.stderr or "2 events were not delivered" in result.stderr
    assert "of 2 events delivered" in result.stdout


def test_dead_letters_and_tombstones_can_be_read(run: Run, topics: TopicNames, bootstrap: str) -> None:
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce(
        topics.dead_letters,
        b"\x01\x02 not avro",
        b"p-1",
        headers=[
            ("__connect.errors.topic", b"products.created"),
            ("__connect.errors.partition", b"2"),
            ("__connect.errors.offset", b"41"),
            ("__connect.errors.exception.message", b"title is blank"),
        ],
    )
    producer.produce(topics.categorized, None, b"p-2")
    assert producer.flush(30) == 0
    letters = run("tail", "--topic", "dlq", "--from-beginning", "--limit", 1).stdout.splitlines()
    assert "products.created/2/41" in letters[1]
    assert "title is blank" in letters[1]
    tombstone = run("tail", "--from-beginning", "--limit", 1).stdout.splitlines()
    assert "p-2" in tombstone[1]
    assert "withdrawn (tombstone)" in tombstone[1]
    (line,) = _lines(run("tail", "--topic", "dlq", "--from-beginning", "--limit", 1, "--json").stdout)
    assert line["value_base64"] == "AQIgbm90IGF2cm8="
