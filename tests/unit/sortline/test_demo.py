from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console

from schemas.avro_files import load_schema
from schemas.columns import PRODUCT
from schemas.decoding import Decoder
from schemas.errors import SetupError
from schemas.product_files import read_products
from schemas.product_records import encoder_for
from schemas.registry import InMemoryRegistry
from schemas.topics import TopicNames
from schemas.validation import check_products
from sortline.demo.events import DemoEvents, demo_events, sample_catalog_path, unseen_products
from sortline.demo.narration import Narrator
from sortline.demo.outcomes import Outcomes
from sortline.demo.report import Watched, show_summary
from sortline.topic_reader import TopicRecord
from sortline.topic_rows import TopicRow
from training.splits import TEST, assign_parts, groups_of

NAMES = TopicNames()


@pytest.fixture(scope="module")
def catalog() -> pa.Table:
    """The first 4,000 products of the sample catalogue."""
    return read_products(sample_catalog_path(), labelled=True, limit=4_000)


@pytest.fixture(scope="module")
def registry() -> InMemoryRegistry:
    return InMemoryRegistry()


@pytest.fixture(scope="module")
def events(catalog: pa.Table, registry: InMemoryRegistry) -> DemoEvents:
    products = unseen_products(catalog, seed=7, rows=120)
    return demo_events(products, encoder_for(NAMES.created, labelled=False, registry=registry))


def test_only_products_of_the_test_part_are_sent(catalog: pa.Table) -> None:
    chosen = unseen_products(catalog, seed=7, rows=100)
    # As training splits what it reads from the topic, which does not carry the file's groups.
    parts = assign_parts(groups_of(catalog.drop_columns(["group"])), seed=7)
    test_ids = set(catalog.filter(pa.array(parts == TEST))["product_id"].to_pylist())
    assert chosen.num_rows == 100
    assert set(chosen["product_id"].to_pylist()) <= test_ids


def test_more_events_than_the_test_part_has_are_refused(catalog: pa.Table) -> None:
    with pytest.raises(SetupError, match=r"option --events: the test part of the catalogue has \d+ products"):
        unseen_products(catalog, seed=7, rows=3_000)


def test_each_broken_record_is_broken_in_its_own_way_and_all_others_are_good(
    events: DemoEvents, registry: InMemoryRegistry
) -> None:
    records = [record for record in events.records if record.value is not None]
    assert len(events.records) - len(records) == events.n_withdrawn == 1
    decoded = Decoder(registry, load_schema("product_created"), PRODUCT).decode(
        [record.value for record in records if record.value is not None]
    )
    keys = [records[row].key for row in decoded.rows.tolist()]
    reasons = [rejected.reason for rejected in decoded.rejected]
    reasons += [rejected.reason for rejected in check_products(decoded.batch, keys)]
    assert len(reasons) == len(set(reasons)) == events.n_broken == 6
    assert len(records) - len(reasons) == 120


def test_the_broken_ones_are_spread_among_the_good_ones(events: DemoEvents) -> None:
    broken = [at for at, record in enumerate(events.records) if record.key.startswith(b"broken-")]
    assert broken[0] > 5
    assert np.diff(broken).min() > 5
    assert broken[-1] < len(events.records) - 5


def test_the_withdrawn_product_was_sent_before(events: DemoEvents) -> None:
    (withdrawn,) = [at for at, record in enumerate(events.records) if record.value is None]
    assert events.records[withdrawn].key in {record.key for record in events.records[:withdrawn]}


def _row(
    topic: str, place: str, *, value: dict[str, object] | None = None, problem: str | None = None
) -> TopicRow:
    source = place.split("/")
    headers: tuple[tuple[str, bytes | None], ...] = (("ce_id", place.encode()),)
    if topic == NAMES.dead_letters:
        headers = (
            ("ce_id", b"the producer's own"),
            *zip(
                (f"__connect.errors.{part}" for part in ("topic", "partition", "offset")),
                (part.encode() for part in source),
                strict=True,
            ),
        )
    record = TopicRecord(
        topic=topic, partition=0, offset=0, timestamp_ms=None, key=b"p-1", value=b"", headers=headers
    )
    return TopicRow(record=record, value=value, problem=problem)


def _decision(path: list[str]) -> dict[str, object]:
    return {"category_path": path, "confidence": 0.9, "decision": "accepted"}


def test_each_event_is_accounted_for_once_wherever_it_ends() -> None:
    outcomes = Outcomes(NAMES)
    assert outcomes.add(_row(NAMES.categorized, "in/0/1", value=_decision(["A"])))
    assert outcomes.add(_row(NAMES.review, "in/0/2", value=_decision(["A"])))
    assert outcomes.add(_row(NAMES.dead_letters, "in/0/3", problem="title is blank"))
    assert outcomes.add(_row(NAMES.categorized, "in/0/4"))
    assert not outcomes.add(_row(NAMES.categorized, "in/0/1", value=_decision(["A"])))
    assert not outcomes.add(_row(NAMES.review, "in/0/3", value=_decision(["A"])))
    kinds = (outcomes.categorized, outcomes.review, outcomes.dead_letters, outcomes.withdrawn)
    assert [len(kind) for kind in kinds] == [1, 1, 1, 1]
    assert (outcomes.total, outcomes.repeated) == (4, 2)


def _summary(outcomes: Outcomes, events: DemoEvents) -> str:
    written = io.StringIO()
    watched = Watched(outcomes=outcomes, n_fast=100, fast_seconds=0.5)
    show_summary(watched, events, Console(file=written, width=100, markup=False, highlight=False))
    return written.getvalue()


def test_the_summary_says_how_much_is_missing(events: DemoEvents) -> None:
    outcomes = Outcomes(NAMES)
    for offset in range(len(events.records) - 2):
        outcomes.add(_row(NAMES.review, f"in/0/{offset}", value=_decision(["A"])))
    assert "2 MISSING" in _summary(outcomes, events)
    for offset in range(2):
        outcomes.add(_row(NAMES.review, f"in/1/{offset}", value=_decision(["A"])))
    assert "every event accounted for" in _summary(outcomes, events)


def test_an_ancestor_of_the_true_category_counts_as_right(events: DemoEvents) -> None:
    outcomes = Outcomes(NAMES)
    key, label = next(iter(events.labels.items()))
    for offset, path in enumerate(([*label], [label[0]], ["Elsewhere"], [*label, "deeper"])):
        row = _row(NAMES.categorized, f"in/0/{offset}", value=_decision(path))
        record = TopicRecord(
            topic=row.record.topic,
            partition=0,
            offset=offset,
            timestamp_ms=None,
            key=key.encode(),
            value=b"",
            headers=row.record.headers,
        )
        outcomes.add(TopicRow(record=record, value=row.value, problem=None))
    assert "50.0% right" in _summary(outcomes, events)
    assert "200 events/s" in _summary(outcomes, events)


def test_a_step_is_one_line_with_mark_and_duration() -> None:
    written = io.StringIO()
    times = iter([0.0, 4.25])
    narrator = Narrator(Console(file=written, width=100, markup=False), clock=lambda: next(times))
    with narrator.step("Starting") as step:
        step.say("nothing of this stays in a pipe")
        step.done = "Kafka is up"
    assert written.getvalue().startswith("✓ Kafka is up ....")
    assert written.getvalue().endswith(".... 4.2 s\n")
    assert len(written.getvalue().rstrip("\n")) == 98


def test_a_failed_step_says_what_was_tried() -> None:
    written = io.StringIO()
    narrator = Narrator(Console(file=written, width=100, markup=False))

    def start() -> None:
        with narrator.step("Starting Kafka"):
            raise OSError

    with pytest.raises(OSError, match=r"^$"):
        start()
    assert written.getvalue().startswith("✗ Starting Kafka ...")
