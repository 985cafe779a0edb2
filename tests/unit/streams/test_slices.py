"""Records in, outputs out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from models.serving.served import ModelStamp
from schemas.avro_files import load_schema
from schemas.columns import PRODUCT
from schemas.decoding import Decoder
from schemas.encoding import Encoder
from schemas.errors import DependencyUnavailableError, SetupError
from schemas.registry import InMemoryRegistry
from schemas.stages import StageClock
from schemas.wire import HEADER_SIZE, SchemaId, read_header
from streams.slices import SliceOutputs, SliceProcessor
from tests.unit.streams.conftest import TitleClassifier

if TYPE_CHECKING:
    from tests.unit.streams.conftest import Workbench

NOW_MS = 1_767_225_600_123


def keys(outputs: SliceOutputs) -> tuple[list[bytes | None], list[bytes | None], list[bytes | None]]:
    return (
        [one.key for one in outputs.categorized],
        [one.key for one in outputs.review],
        [one.key for one in outputs.dead_letters],
    )


def reason(outputs: SliceOutputs, row: int = 0) -> str:
    headers = dict(outputs.dead_letters[row].headers)
    return (headers["__connect.errors.exception.message"] or b"").decode()


def test_every_record_ends_in_exactly_one_place(workbench: Workbench) -> None:
    records = [
        workbench.product("a", "lamp"),
        workbench.record(b"b", b"\x00\x00\x00\x00\x01nonsense"),
        workbench.product("c", "unsure lamp"),
        workbench.record(b"d", None),
        workbench.record(b"not-e", workbench.value("e", "lamp")),
        workbench.product("f", "vague lamp"),
        workbench.record(b"g", b""),
    ]
    outputs = workbench.processor.process(records)
    assert keys(outputs) == ([b"a", b"d", b"f"], [b"c"], [b"b", b"not-e", b"g"])
    assert (outputs.n_records, outputs.n_tombstones, outputs.n_backed_off) == (7, 1, 1)
    assert outputs.dead_positions == [1, 4, 6]


def test_an_output_tells_category_model_and_the_record_it_was_made_from(workbench: Workbench) -> None:
    workbench.next_offset = 41
    outputs = workbench.processor.process([workbench.product("a", "lamp", partition=2)])
    published = workbench.published(outputs.categorized[0].value)
    categorized_at = published.pop("categorized_at")
    assert int(categorized_at.timestamp() * 1000) == NOW_MS  # type: ignore[attr-defined]  # a datetime
    assert published == {
        "product_id": "a",
        "category_path": ["Things", "lamp"],
        "confidence": 0.75,
        "decision": "accepted",
        "alternatives": [{"category_path": ["Things", "lamp"], "confidence": 0.75}],
        "unseen_brand": False,
        "unseen_seller": False,
        "unfamiliar_text": 0.25,
        "model_name": "by-title",
        "model_version": "v1",
        "feature_fingerprint": "f" * 64,
        "taxonomy_version": "taxonomy-1",
        "source": {"topic": "products.created", "partition": 2, "offset": 41},
    }


def test_headers_are_cloudevents_with_the_place_of_the_input_as_id(workbench: Workbench) -> None:
    workbench.next_offset = 7
    headers = (("ce_id", b"theirs"), ("traceparent", b"00-1-2-01"), ("ce_type", b"theirs"))
    record = workbench.record(b"a", workbench.value("a", "lamp"), headers)
    (output,) = workbench.processor.process([record]).categorized
    assert list(output.headers) == [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"products.created/0/7"),
        ("ce_source", b"/sortline/sorters"),
        ("ce_type", b"io.sortline.product.categorized.v1"),
        ("ce_time", b"2026-01-01T00:00:00.123Z"),
        ("content-type", b"application/avro"),
        ("traceparent", b"00-1-2-01"),
    ]
    assert output.timestamp_ms == NOW_MS


def test_a_tombstone_is_passed_on_with_headers_of_its_own_type(workbench: Workbench) -> None:
    (output,) = workbench.processor.process([workbench.record(b"gone", None)]).categorized
    assert (output.key, output.value) == (b"gone", None)
    assert ("ce_type", b"io.sortline.product.withdrawn.v1") in list(output.headers)
    assert ("ce_id", b"products.created/0/0") in list(output.headers)


@pytest.mark.parametrize("key", [None, b""])
def test_a_tombstone_without_a_key_is_a_dead_letter(workbench: Workbench, key: bytes | None) -> None:
    outputs = workbench.processor.process([workbench.record(key, None)])
    assert keys(outputs) == ([], [], [key])
    assert "needs its id as the key" in reason(outputs)


def test_order_is_kept_also_for_one_key_that_comes_again_and_is_withdrawn(workbench: Workbench) -> None:
    records = [
        workbench.product("a", "lamp"),
        workbench.product("b", "desk"),
        workbench.product("a", "lamp mk2"),
        workbench.record(b"a", None),
        workbench.product("a", "lamp mk3"),
    ]
    outputs = workbench.processor.process(records)
    assert [(one.key, one.value is None) for one in outputs.categorized] == [
        (b"a", False),
        (b"b", False),
        (b"a", False),
        (b"a", True),
        (b"a", False),
    ]
    assert [one.record.offset for one in outputs.categorized] == [one.offset for one in records]


def test_a_poison_row_is_found_by_halves_and_the_others_are_decided(workbench: Workbench) -> None:
    titles = [f"lamp {number}" for number in range(100)]
    titles[63] = "poison lamp"
    outputs = workbench.processor.process(workbench.products(titles))
    assert len(outputs.categorized) == 99
    assert keys(outputs)[2] == [b"p-63"]
    assert reason(outputs) == "internal error, ZeroDivisionError: poison in the title"
    headers = dict(outputs.dead_letters[0].headers)
    assert headers["__connect.errors.exception.class.name"] == b"ZeroDivisionError"
    assert b"ZeroDivisionError" in (headers["__connect.errors.exception.stacktrace"] or b"")
    assert len(workbench.classifier.batches) < 20


def test_the_batch_of_a_slice_is_classified_in_one_go(workbench: Workbench) -> None:
    workbench.processor.process(workbench.products([f"lamp {number}" for number in range(50)]))
    assert workbench.classifier.batches == [50]


def test_a_classifier_that_fails_on_everything_is_a_bug_and_not_fifty_dead_letters(workbench: Workbench) -> None:
    workbench.classifier.broken = RuntimeError("no weights")
    with pytest.raises(RuntimeError, match="no weights"):
        workbench.processor.process(workbench.products([f"lamp {number}" for number in range(50)]))


@pytest.mark.parametrize("error", [MemoryError(), SetupError("no such column")])
def test_what_is_no_fault_of_a_record_is_not_searched_for_in_records(
    workbench: Workbench, error: Exception
) -> None:
    workbench.classifier.broken = error
    with pytest.raises(type(error)):
        workbench.processor.process(workbench.products(["lamp", "desk"]))
    assert workbench.classifier.batches == [2]


def test_a_registry_that_does_not_answer_decides_nothing(workbench: Workbench) -> None:
    class Away(InMemoryRegistry):
        def schema_by_id(self, schema_id: SchemaId) -> str:
            raise DependencyUnavailableError("away")

    processor = SliceProcessor(
        decoder=Decoder(Away(), load_schema("product_created"), PRODUCT),
        classifier=workbench.classifier,
        encoder=Encoder(load_schema("product_categorized"), workbench.categorized_id),
        group_id="sorters",
        now_ms=lambda: NOW_MS,
    )
    with pytest.raises(DependencyUnavailableError):
        processor.process(workbench.products(["lamp"]))


def test_the_review_topic_has_its_own_schema_id(workbench: Workbench) -> None:
    processor = SliceProcessor(
        decoder=Decoder(workbench.registry, load_schema("product_created"), PRODUCT),
        classifier=workbench.classifier,
        encoder=Encoder(load_schema("product_categorized"), SchemaId(70)),
        review_encoder=Encoder(load_schema("product_categorized"), SchemaId(80)),
        group_id="sorters",
        now_ms=lambda: NOW_MS,
    )
    outputs = processor.process(workbench.products(["lamp", "unsure lamp", "desk", "unsure desk"]))
    assert {read_header((one.value or b"")[:HEADER_SIZE]) for one in outputs.categorized} == {70}
    assert {read_header((one.value or b"")[:HEADER_SIZE]) for one in outputs.review} == {80}
    assert [one.key for one in outputs.review] == [b"p-1", b"p-3"]


def test_a_slice_of_tombstones_never_reaches_the_model(workbench: Workbench) -> None:
    outputs = workbench.processor.process([workbench.record(b"a", None), workbench.record(b"b", None)])
    assert outputs.n_tombstones == 2
    assert workbench.classifier.batches == []


def test_nothing_in_gives_nothing_out(workbench: Workbench) -> None:
    assert workbench.processor.process([]).n_records == 0


def test_a_record_that_is_not_valid_names_every_fault(workbench: Workbench) -> None:
    value = workbench.value("a", "  ", price_minor=-5, currency="EUR")
    outputs = workbench.processor.process([workbench.record(b"a", value)])
    assert "title is blank" in reason(outputs)
    assert "price_minor is -5" in reason(outputs)
    assert dict(outputs.dead_letters[0].headers)["__connect.errors.stage"] == b"VALIDATION"


def test_records_of_several_partitions_keep_their_places(workbench: Workbench) -> None:
    records = [workbench.product(f"p-{number}", "lamp", partition=number % 3) for number in range(9)]
    outputs = workbench.processor.process(records)
    sources = [workbench.published(one.value)["source"] for one in outputs.categorized]
    assert sources == [{"topic": one.topic, "partition": one.partition, "offset": one.offset} for one in records]


def test_another_model_decides_from_the_next_slice_on_and_says_so_in_every_event(workbench: Workbench) -> None:
    processor = workbench.processor
    first = processor.process(workbench.products(["lamp", "desk"]))
    processor.swap(TitleClassifier(name="new", version="v2"), 7)
    second = processor.process(workbench.products(["lamp", "unsure desk"]))
    assert [out.model for out in (first, second)] == [ModelStamp("by-title", "v1"), ModelStamp("new", "v2", 7)]
    assert processor.model == second.model
    told = [workbench.published(one.value) for one in (*first.categorized, *second.categorized, *second.review)]
    assert [one["model_version"] for one in told] == ["v1", "v1", "v2", "v2"]
    assert [one["model_name"] for one in told] == ["by-title", "by-title", "new", "new"]


def test_a_swap_in_the_middle_of_a_slice_waits_for_its_end(workbench: Workbench) -> None:
    class SwappedMeanwhile(TitleClassifier):
        def classify(self, products: pa.RecordBatch, clock: StageClock | None = None) -> pa.RecordBatch:
            workbench.processor.swap(TitleClassifier(version="v2"))
            return TitleClassifier.classify(self, products, clock)

    workbench.processor.swap(SwappedMeanwhile())
    # The fault makes the processor go by halves: it asks its model several times.
    outputs = workbench.processor.process(workbench.products(["lamp", "poison", "desk"]))
    assert outputs.model.version == "v1"
    assert {workbench.published(one.value)["model_version"] for one in outputs.categorized} == {"v1"}
    assert workbench.processor.process(workbench.products(["lamp"])).model.version == "v2"
