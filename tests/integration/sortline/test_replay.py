"""products.created decided again, and compared with what a worker published."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from models.bundle import load_bundle
from schemas import columns
from schemas.avro_files import load_schema
from schemas.decoding import Decoder
from schemas.registry import ConfluentRegistry
from sortline.topic_reader import TopicRecord
from sortline.topic_rows import header_text
from tests.integration.sortline.published import N_BROKEN, PARTITIONS, Published

pytestmark = pytest.mark.integration

Source = tuple[str, int, int]


@pytest.fixture
def target(bootstrap: str) -> Iterator[str]:
    """A topic for decisions that are made again."""
    topic = f"t{uuid.uuid4().hex[:10]}.again"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(30)
    yield topic
    admin.delete_topics([topic])[topic].result(30)


def _replayed(published: Published, *arguments: object) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(published.run("replay", "--json", *arguments).stdout)
    return document


def _decisions(published: Published, registry: ConfluentRegistry) -> dict[Source, tuple[str, tuple[str, ...]]]:
    """Return what was published for each input that is still there."""
    decoder = Decoder(registry, load_schema("product_categorized"), columns.PRODUCT_CATEGORIZED)
    there = {(one.topic, one.partition, one.offset) for one in published.read(published.names.created)}
    decided = [*published.outputs[published.names.categorized], *published.outputs[published.names.review]]
    values = [one.value for one in decided if one.value is not None]
    rows = decoder.decode(values).batch.to_pylist()
    sources = [tuple(row["source"].values()) for row in rows]
    return {
        source: (row["decision"], tuple(row["category_path"]))
        for source, row in zip(sources, rows, strict=True)
        if source in there
    }


def test_the_same_model_agrees_with_itself_about_everything(
    published: Published, registry: ConfluentRegistry
) -> None:
    decisions = _decisions(published, registry)
    told = _replayed(published, "--model", published.bundle, "--diff")
    difference = told["difference"]
    assert difference["agreement"] == 1.0
    assert difference["n_compared"] == difference["n_identical"] == len(decisions)
    assert difference["moves"] == []
    assert difference["models"] == {f"tiny {told['model']['version']}": len(decisions)}
    outcomes = {(one["published"], one["now"]): one["n"] for one in difference["counts"]}
    assert outcomes["withdrawn", "withdrawn"] == 1
    assert outcomes["dead letter", "dead letter"] == N_BROKEN
    assert sum(outcomes.values()) == told["n_inputs"]


def test_another_model_s_changes_are_those_that_a_brute_force_count_finds(
    published: Published, registry: ConfluentRegistry, tmp_path: Path
) -> None:
    decisions = _decisions(published, registry)
    inputs = {(one.topic, one.partition, one.offset): one for one in published.inputs}
    decoder = Decoder(registry, load_schema("product_created"), columns.PRODUCT)
    other = load_bundle(published.other_bundle)
    expected: Counter[tuple[str, str]] = Counter()
    n_same = 0
    for source, before in decisions.items():
        product = decoder.decode([inputs[source].value or b""]).batch
        row = other.classify(product).to_pylist()[0]
        now = (row["decision"], tuple(row["category_path"]))
        expected[before[0], now[0]] += 1
        n_same += before == now
    page = tmp_path / "changes.html"
    told = _replayed(published, "--model", published.other_bundle, "--html", page)["difference"]
    counted = {(one["published"], one["now"]): one["n"] for one in told["counts"]}
    assert {move: counted.get(move, 0) for move in expected} == dict(expected)
    assert told["n_compared"] == expected.total()
    assert told["n_same"] == n_same
    assert expected["accepted", "review"] > 0
    assert "Xylqz &lt;b&gt;" in page.read_text()
    assert "<b>" not in page.read_text()


def test_ranges_choose_and_invalid_inputs_are_listed(published: Published, tmp_path: Path) -> None:
    created = published.names.created
    told = _replayed(published, "--model", published.bundle, "--from-offsets", "0:3-12,1:5")
    assert (told["n_inputs"], told["difference"]) == (11, None)
    offsets = tmp_path / "offsets.json"
    offsets.write_text(json.dumps({created: {"0": [3, 12], "1": [0, 7]}}))
    told = _replayed(published, "--model", published.bundle, "--from-offsets", offsets, "--to-offsets", "1:4")
    assert told["offsets"] == {created: {"0": [3, 12], "1": [0, 4]}}
    everything = published.run("replay", "--model", published.bundle).stdout
    assert f"invalid    {N_BROKEN}: value is not Confluent wire format" in everything
    assert f"{N_BROKEN} dead letter" in everything
    broken = sorted([one.partition, one.offset] for one in published.inputs if one.value == b"{}")
    (places,) = _replayed(published, "--model", published.bundle)["invalid"].values()
    assert sorted(places) == broken


def test_nothing_is_written_unless_a_topic_is_named_and_the_live_one_is_refused(published: Published) -> None:
    before = {topic: len(published.read(topic)) for topic in published.outputs}
    published.run("replay", "--model", published.other_bundle, "--diff")
    for topic, problem in (
        (published.names.categorized, "is the live topic"),
        (published.names.created, "has another purpose"),
    ):
        printed = published.run("replay", "--model", published.other_bundle, "--to", topic, exit_code=2)
        assert problem in printed.stderr
    assert {topic: len(published.read(topic)) for topic in published.outputs} == before


def test_what_is_published_is_what_the_stream_published_but_for_the_time(
    published: Published, target: str, registry: ConfluentRegistry
) -> None:
    told = _replayed(published, "--model", published.bundle, "--to", target)
    again = {published.source_of(one): one for one in published.read(target)}
    assert told["n_published"] == len(again) == told["n_inputs"] - N_BROKEN
    decoder = Decoder(registry, load_schema("product_categorized"), columns.PRODUCT_CATEGORIZED)

    def content(record: TopicRecord) -> dict[str, object] | None:
        if record.value is None:
            return None
        return {**decoder.decode([record.value]).batch.to_pylist()[0], "categorized_at": None}

    for topic in (published.names.categorized, published.names.review):
        for record in published.outputs[topic]:
            other = again.get(published.source_of(record))
            if other is None:
                continue  # the input that another test may delete
            assert (other.partition, other.key, content(other)) == (record.partition, record.key, content(record))
            assert [name for name, _ in other.headers] == [name for name, _ in record.headers]
            for name in ("ce_id", "ce_type", "ce_specversion", "content-type"):
                assert header_text(other, name) == header_text(record, name)
