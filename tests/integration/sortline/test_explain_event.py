"""Events that a worker published exactly once, followed back and decided again."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from models.bundle import read_manifest
from sortline.topic_reader import TopicRecord
from tests.integration.sortline.published import Published

pytestmark = pytest.mark.integration


def _explained(published: Published, record: TopicRecord, *more: object, exit_code: int = 0) -> dict[str, Any]:
    printed = published.run(
        "explain-event",
        *("--topic", record.topic, "--partition", record.partition, "--offset", record.offset),
        *("--json", *more),
        exit_code=exit_code,
    )
    document: dict[str, Any] = json.loads(printed.stdout)
    return document


def test_a_decision_comes_out_the_same_byte_for_byte(published: Published) -> None:
    for topic in (published.names.categorized, published.names.review):
        record = next(one for one in published.outputs[topic] if one.value is not None)
        told = _explained(published, record, "--model", published.bundle)
        assert (told["verdict"], told["recomputation"]["compared_by"]) == ("equal", "bytes")
        assert told["recomputation"]["value_base64"] == told["value_base64"]
        assert told["product"]["product_id"] == (record.key or b"").decode()
        assert told["model"]["training"] == read_manifest(published.bundle).lineage
        assert told["code"]["sortline"]


def test_the_page_names_every_link_of_the_chain(published: Published) -> None:
    record = published.outputs[published.names.categorized][0]
    page = published.run(
        "explain-event", "--partition", record.partition, "--offset", record.offset, "--model", published.bundle
    ).stdout
    named = [line.split()[0] for line in page.splitlines() if not line.startswith(" ")]
    assert named == ["event", "decision", "input", "model", "features", "bundle", "training", "code", "result"]
    assert f"{published.names.created}/" in page
    assert read_manifest(published.bundle).version in page
    assert "equal: all " in page


def test_another_bundle_is_said_to_be_one_and_what_it_changes_is_named(published: Published) -> None:
    record = published.outputs[published.names.categorized][0]
    told = _explained(published, record, "--model", published.other_bundle, exit_code=1)
    assert told["verdict"] == "differs"
    changed = {one["field"]: one for one in told["recomputation"]["differences"]}
    assert changed["model_version"]["recomputed"] == read_manifest(published.other_bundle).version
    assert changed["decision"]["recomputed"] == "review"
    assert "categorized_at" not in changed
    assert "this bundle is" in told["model"]["note"]


def test_a_damaged_bundle_is_no_witness(published: Published) -> None:
    record = published.outputs[published.names.categorized][0]
    damaged = published.folder / "damaged"
    shutil.copytree(published.bundle, damaged)
    (damaged / "trees.txt").write_bytes(b"tree")
    told = _explained(published, record, "--model", damaged, exit_code=1)
    assert told["verdict"] == "unavailable"
    assert "trees.txt" in told["sentence"]


def test_a_tombstone_is_followed_to_the_null_value_that_it_passes_on(published: Published) -> None:
    record = next(one for one in published.outputs[published.names.categorized] if one.value is None)
    told = _explained(published, record)
    assert "is a tombstone: product p-0000 was withdrawn, and no model decided; its input" in told["sentence"]


def test_a_place_without_an_event_is_told_in_a_sentence(published: Published) -> None:
    topic, key = published.names.categorized, b"aborted"
    producer = Producer({"bootstrap.servers": published.bootstrap, "transactional.id": topic})
    producer.init_transactions(30)
    places: dict[str, TopicRecord] = {}

    def produce(name: str) -> None:
        def note(_error: object, message: Any) -> None:
            places[name] = TopicRecord(
                topic=topic,
                partition=message.partition(),
                offset=message.offset(),
                timestamp_ms=None,
                key=key,
                value=b"",
                headers=(),
            )

        producer.begin_transaction()
        producer.produce(topic, b"value", key, partition=0, on_delivery=note)
        producer.flush(30)

    produce("aborted")
    producer.abort_transaction(30)
    produce("open")
    last = places["aborted"].offset
    expected = {
        last: "is of a transaction that was aborted",
        last + 1: "is no event but the mark that ends a transaction",
        places["open"].offset: "is of a transaction that is still open",
        places["open"].offset + 1: "is not there: the partition ends before offset",
    }
    for offset, sentence in expected.items():
        printed = published.run("explain-event", "--partition", 0, "--offset", offset, exit_code=1)
        assert printed.stdout.startswith("result  ")
        assert sentence in printed.stdout
    producer.abort_transaction(30)
    printed = published.run("explain-event", "--partition", 9, "--offset", 0, exit_code=2)
    assert "has no partition 9, only 0 to 2" in printed.stderr
    printed = published.run("explain-event", "--topic", "dlq", "--partition", 0, "--offset", 0, exit_code=2)
    assert "decisions are in" in printed.stderr


def test_an_input_that_retention_took_leaves_the_rest_of_the_chain(published: Published) -> None:
    record = next(one for one in published.every_output if published.source_of(one) == published.short_lived)
    _, partition, offset = published.short_lived
    deletion = TopicPartition(published.names.created, partition, offset + 1)
    admin = AdminClient({"bootstrap.servers": published.bootstrap})
    (deleted,) = admin.delete_records([deletion]).values()
    deleted.result(30)
    told = _explained(published, record, "--model", published.bundle, exit_code=1)
    assert told["verdict"] == "unavailable"
    assert "is gone: retention has deleted what was before offset" in told["sentence"]
    assert told["model"]["version"] == read_manifest(published.bundle).version
