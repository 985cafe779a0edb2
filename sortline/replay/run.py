"""Reads a range of products.created, decides again, and counts, compares and publishes what comes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from models.classifier import Classifier
from schemas.avro_files import load_schema
from schemas.columns import PRODUCT, PRODUCT_CATEGORIZED
from schemas.decoding import Decoder
from schemas.encoding import Encoder
from schemas.registry import InMemoryRegistry, SchemaRegistry
from schemas.topics import TopicNames
from sortline.dead_letters.letters import fold
from sortline.offset_ranges import OffsetRange
from sortline.range_reader import RangeReader
from sortline.replay.decisions import (
    DEAD_LETTER,
    KINDS,
    WITHDRAWN,
    Paths,
    Rows,
    rows_of_events,
    rows_without_decision,
)
from sortline.replay.difference import Describe, Difference, DifferenceCounter
from sortline.replay.published import read_published
from sortline.replay.publishing import Publisher
from sortline.topic_reader import TopicRecord
from streams.replay import redecisions, replay_processor
from streams.slices import SliceOutputs
from training.progress import Progress

_SCHEMA: Final = "product_categorized"


@dataclass(slots=True, kw_only=True)
class ReplayReport:
    """What came of a replay.

    Attributes:
        model: name and version that decided.
        topic: the input, and `ranges`: of each partition the first and the last offset that there was to read.
        n_inputs: records read; `kinds`: what became of them, by `KINDS`.
        invalid: the inputs that are dead letters, by reason: partition and offset of each.
        difference: from what was published, if that was asked for; `models` made how many of those decisions,
            `n_repeated` were published for the same input before the last one, and `n_unreadable` published events
            could not be read.
        published_to: where the decisions were written, and `n_published` how many.
        seconds: deciding took, reading included.
    """

    model: tuple[str, str]
    topic: str
    ranges: Mapping[int, tuple[int, int]]
    n_inputs: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    invalid: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    difference: Difference | None = None
    models: Mapping[str, int] = field(default_factory=dict)
    n_repeated: int = 0
    n_unreadable: int = 0
    published_to: str | None = None
    n_published: int = 0
    seconds: float = 0.0

    @property
    def n_invalid(self) -> int:
        """How many inputs are dead letters."""
        return sum(map(len, self.invalid.values()))


def run_replay(
    classifier: Classifier,
    *,
    bootstrap: str,
    registry: SchemaRegistry,
    names: TopicNames,
    ranges: Sequence[OffsetRange] | None,
    group_id: str,
    now_ms: Callable[[], int],
    progress: Progress,
    compare: bool,
    to: str | None = None,
) -> ReplayReport:
    """Decide again on the records of the ranges, None for all there are; nothing is written without `to`.

    `group_id` is that in the `ce_source` of what is written. Raises as RangeReader, Publisher and SliceProcessor
    do.
    """
    schema = load_schema(_SCHEMA)
    # Without a target nothing is registered: the values, which are only compared, are of a registry of our own.
    own: SchemaRegistry = InMemoryRegistry() if to is None else registry
    target = _SCHEMA if to is None else to
    review_target = names.review if to == names.categorized else target
    encoder, review_encoder = (
        Encoder(schema, own.register(f"{topic}-value", schema)) for topic in (target, review_target)
    )
    publisher = None if to is None else Publisher(bootstrap, names, to)
    processor = replay_processor(
        classifier, registry, encoder=encoder, review_encoder=review_encoder, group_id=group_id, now_ms=now_ms
    )
    paths = Paths()
    with RangeReader(bootstrap, names.created, ranges) as reader:
        report = ReplayReport(
            model=(classifier.name, classifier.version), topic=names.created, ranges=reader.ranges, published_to=to
        )
        counter = _counter(report, bootstrap, registry, names, paths, progress) if compare else None
        tally = _Tally(report, paths, Decoder(own, schema, PRODUCT_CATEGORIZED), counter, _Inputs(registry))
        progress.step(f"Deciding on {names.created}", reader.n_offsets)
        started = time.monotonic()
        for batch in reader.batches():
            outputs = processor.process(batch)
            tally.add(batch, outputs)
            if publisher is not None:
                publisher.send(outputs)
            progress.advance(len(batch))
        report.seconds = time.monotonic() - started
    if counter is not None:
        report.difference = counter.result()
    if publisher is not None:
        report.n_published = publisher.close()
    return report


def _counter(
    report: ReplayReport,
    bootstrap: str,
    registry: SchemaRegistry,
    names: TopicNames,
    paths: Paths,
    progress: Progress,
) -> DifferenceCounter:
    published = read_published(
        bootstrap,
        registry,
        names,
        report.ranges,
        paths,
        begin=lambda topic, n: progress.step(f"Reading {topic}", n),
        advance=progress.advance,
    )
    report.models = published.models
    report.n_repeated, report.n_unreadable = published.lookup.n_repeated, published.n_unreadable
    return DifferenceCounter(published.lookup, paths)


@dataclass(slots=True)
class _Tally:
    """Counts what came of each batch, in the report and for the comparison."""

    report: ReplayReport
    paths: Paths
    decoder: Decoder
    counter: DifferenceCounter | None
    inputs: _Inputs

    def add(self, batch: Sequence[TopicRecord], outputs: SliceOutputs) -> None:
        report = self.report
        values: list[bytes] = []
        withdrawn: list[tuple[int, int]] = []
        dead: list[tuple[int, int]] = []
        for one in redecisions(outputs):
            place = (one.output.record.partition, one.output.record.offset)
            if one.reason is not None:
                dead.append(place)
                report.invalid.setdefault(fold(one.reason), []).append(place)
            elif one.output.value is None:
                withdrawn.append(place)
            else:
                values.append(one.output.value)
        rows = Rows.joined(
            [
                rows_of_events(self.decoder.decode(values).batch, self.paths),
                rows_without_decision(withdrawn, WITHDRAWN),
                rows_without_decision(dead, DEAD_LETTER),
            ]
        )
        report.n_inputs += len(batch)
        for kind in rows.kind.tolist():
            report.kinds[KINDS[kind]] = report.kinds.get(KINDS[kind], 0) + 1
        if self.counter is not None:
            self.counter.add(rows, self.inputs.describer(batch))


class _Inputs:
    """Tells what is in an input, for the few that are shown."""

    def __init__(self, registry: SchemaRegistry) -> None:
        self._decoder = Decoder(registry, load_schema("product_created"), PRODUCT)

    def describer(self, batch: Sequence[TopicRecord]) -> Describe:
        by_place: dict[tuple[int, int], TopicRecord] = {}

        def describe(partition: int, offset: int) -> tuple[str, str]:
            if not by_place:
                by_place.update(((one.partition, one.offset), one) for one in batch)
            record = by_place[partition, offset]
            key = (record.key or b"").decode("utf-8", "replace")
            decoded = self._decoder.decode([] if record.value is None else [record.value])
            return key, str(decoded.batch["title"][0]) if decoded.batch.num_rows else ""

        return describe
