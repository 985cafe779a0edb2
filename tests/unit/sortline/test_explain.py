"""Deciding again on one event, whatever schema it was written with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from models.bundle import read_manifest
from schemas.avro_files import load_schema
from schemas.columns import PRODUCT, PRODUCT_CATEGORIZED
from schemas.decoding import Decoder
from schemas.encoding import Encoder
from schemas.errors import BundleError
from schemas.registry import InMemoryRegistry
from sortline.explain import models
from sortline.explain.finding import Place
from sortline.explain.models import FoundModel, find_model
from sortline.explain.recompute import Recomputation, recompute
from sortline.topic_reader import TopicRecord
from streams.replay import decide_again, replay_processor
from tests.tiny_model import build_tiny_bundle
from tests.unit.streams.conftest import TitleClassifier

AT_MS = 1_767_225_600_123


def _record(topic: str, value: bytes | None, key: bytes = b"p-1") -> TopicRecord:
    return TopicRecord(topic=topic, partition=1, offset=42, timestamp_ms=AT_MS, key=key, value=value, headers=())


class Bench:
    """An input, the event that a model published for it, and a registry that knows their schemas."""

    def __init__(self, schema: str | None = None, **product: object) -> None:
        self.registry = InMemoryRegistry()
        created = load_schema("product_created")
        encoder = Encoder(created, self.registry.register("products.created-value", created))
        row = {"product_id": "p-1", "title": "Lamp", **product}
        (value,) = encoder.encode(pa.RecordBatch.from_pylist([row], PRODUCT))
        self.source = _record("products.created", value)
        self.schema = schema or load_schema("product_categorized")
        self.schema_id = self.registry.register("products.categorized-value", self.schema)

    def event(self, classifier: TitleClassifier | None = None) -> TopicRecord:
        processor = replay_processor(
            classifier or TitleClassifier(),
            self.registry,
            encoder=Encoder(self.schema, self.schema_id),
            group_id="sorters",
            now_ms=lambda: AT_MS,
        )
        return _record("products.categorized", decide_again(processor, self.source).output.value)

    def again(
        self, event: TopicRecord, classifier: TitleClassifier | None = None, source: TopicRecord | None = None
    ) -> Recomputation:
        decoder = Decoder(self.registry, load_schema("product_categorized"), PRODUCT_CATEGORIZED)
        (row,) = decoder.decode([event.value or b""]).batch.to_pylist()
        return recompute(event, row, source or self.source, classifier or TitleClassifier(), self.registry)


def _other_schema(*, without: str | None = None, more: dict[str, Any] | None = None) -> str:
    schema = json.loads(load_schema("product_categorized"))
    schema["fields"] = [one for one in schema["fields"] if one["name"] != without]
    if more is not None:
        schema["fields"].append(more)
    return json.dumps(schema)


def test_the_same_model_gives_the_same_bytes_with_the_time_of_the_event() -> None:
    bench = Bench()
    event = bench.event()
    again = bench.again(event)
    assert (again.is_equal, again.compared_by, again.value) == (True, "bytes", event.value)
    assert again.sentence == f"equal: all {len(event.value or b'')} bytes are the same"


def test_what_another_version_changes_is_named_field_by_field() -> None:
    bench = Bench()
    again = bench.again(bench.event(), TitleClassifier(version="v2"))
    assert not again.is_equal
    assert again.sentence == "differs in model_version"
    (changed,) = again.differences
    assert (changed.published, changed.recomputed) == ("v1", "v2")


def test_an_event_of_an_older_schema_is_written_with_that_schema_and_all_its_bytes_compared() -> None:
    bench = Bench(_other_schema(without="unseen_brand"))
    event = bench.event()
    again = bench.again(event)
    assert (again.is_equal, again.compared_by, again.value) == (True, "bytes", event.value)
    assert (
        f"written with schema id {bench.schema_id}, which lacks unseen_brand; compared byte for byte"
        in again.sentence
    )
    assert not bench.again(event, TitleClassifier(version="v2")).is_equal


def test_an_event_of_a_schema_that_we_cannot_write_is_compared_by_fields() -> None:
    newer = {"name": "shelf", "type": ["null", "string"], "default": None}
    bench = Bench()
    value = bench.event().value or b""
    theirs = InMemoryRegistry()
    for text in (load_schema("product_created"), _other_schema(more=newer)):
        theirs.register(json.loads(text)["name"], text)
    # The new field is the last one: its null is one byte, the branch of the union.
    bench.registry = theirs
    event = _record("products.categorized", value + b"\x00")
    again = bench.again(event)
    assert (again.is_equal, again.compared_by) == (True, "fields")
    assert again.sentence == "equal: all fields are the same (written with schema id 2; compared by fields)"
    assert bench.again(event, TitleClassifier(version="v2")).sentence.startswith(
        "differs in model_version (written"
    )


def test_an_input_that_is_no_product_now_is_a_difference_with_its_reason() -> None:
    bench = Bench()
    event = bench.event()
    again = bench.again(event, source=_record("products.created", b"{}"))
    assert not again.is_equal
    assert "the input would be a dead letter now (value is not Confluent wire format" in again.sentence
    again = bench.again(event, source=_record("products.created", None))
    assert "withdraws the product" in again.sentence


def test_a_change_of_one_byte_in_the_event_is_found() -> None:
    bench = Bench()
    value = bytearray(bench.event().value or b"")
    value[value.index(b"Lamp")] = ord("D")
    again = bench.again(_record("products.categorized", bytes(value)))
    assert again.sentence == "differs in category_path"


@pytest.mark.parametrize("text", [None, "", "products.created", "products.created/x/1", "a/1/2/3", "/1/2"])
def test_an_id_that_is_no_place_names_none(text: str | None) -> None:
    assert Place.parse(text) is None


def test_a_model_is_looked_up_by_the_content_that_the_event_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = build_tiny_bundle(tmp_path / "bundle", "classic")
    version = read_manifest(bundle).version
    registered = {("tiny", version): 7}

    def number_of(name: str, content: str, tracking_uri: str) -> int | None:
        assert tracking_uri == "https://mlflow"
        return registered.get((name, content))

    def fetch(uri: str, to: Path, *, tracking_uri: str) -> Path:
        if uri != "models:/tiny/7":
            raise BundleError(f"{uri} is damaged")
        return bundle

    monkeypatch.setattr(models, "version_with_content", number_of)
    monkeypatch.setattr(models, "fetch_bundle", fetch)
    found = find_model("tiny", version, given=None, tracking_uri="https://mlflow")
    assert isinstance(found, FoundModel)
    assert (found.origin, found.manifest.version) == ("models:/tiny/7", version)
    missing = find_model("tiny", "0" * 12, given=None, tracking_uri="https://mlflow")
    assert str(missing).startswith("no version of models:/tiny holds the content 000000000000: give ")
    assert find_model("tiny", version, given="models:/tiny/8", tracking_uri="") == "models:/tiny/8 is damaged"
    nowhere = find_model("tiny", version, given=None, tracking_uri=f"sqlite:///{tmp_path}/none.db")
    assert "there is no MLflow store at" in str(nowhere)
    assert not (tmp_path / "none.db").exists()
