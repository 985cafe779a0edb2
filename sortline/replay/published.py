"""What was published for a range of inputs: read from the topics, as subscribers see them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.avro_files import load_schema
from schemas.columns import PRODUCT_CATEGORIZED
from schemas.decoding import Decoder
from schemas.registry import SchemaRegistry
from schemas.topics import TopicNames
from sortline.explain.finding import Place
from sortline.range_reader import RangeReader
from sortline.replay.decisions import (
    DEAD_LETTER,
    WITHDRAWN,
    Lookup,
    Paths,
    Rows,
    rows_of_events,
    rows_without_decision,
)
from sortline.topic_reader import TopicRecord
from sortline.topic_rows import header_text
from streams.dialects import read_failure

#: Of each partition of the input, the first and the last offset that is asked for.
Bounds = Mapping[int, tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedOutputs:
    """What there is for the inputs.

    Attributes:
        lookup: by input.
        models: how many of the decisions are of which model, by name and version.
        n_unreadable: events that could not be decoded: whose input they are of is not known.
    """

    lookup: Lookup
    models: Mapping[str, int]
    n_unreadable: int


def read_published(
    bootstrap: str,
    registry: SchemaRegistry,
    names: TopicNames,
    wanted: Bounds,
    paths: Paths,
    *,
    begin: Callable[[str, int], None],
    advance: Callable[[int], None],
) -> PublishedOutputs:
    """Read decisions, withdrawals and dead letters of committed transactions, whole topics, and keep the wanted.

    `begin` is called with a topic and how many offsets it has, `advance` with how many were read since. Raises as
    RangeReader does, and DependencyUnavailableError if the registry does not answer.
    """
    parts: list[Rows] = []
    models: Counter[str] = Counter()
    n_unreadable = 0
    decoder = Decoder(registry, load_schema("product_categorized"), PRODUCT_CATEGORIZED)
    for topic in (names.categorized, names.review, names.dead_letters):
        with RangeReader(bootstrap, topic) as reader:
            begin(topic, reader.n_offsets)
            for batch in reader.batches():
                if topic == names.dead_letters:
                    lost = rows_without_decision(_dead_letters(batch, names.created), DEAD_LETTER)
                else:
                    decoded = decoder.decode([value for record in batch if (value := record.value) is not None])
                    n_unreadable += len(decoded.rejected)
                    parts.append(_decisions(decoded.batch, names.created, wanted, paths, models))
                    lost = rows_without_decision(_tombstones(batch, names.created), WITHDRAWN)
                parts.append(lost.take(_is_wanted(lost, wanted)))
                advance(len(batch))
    return PublishedOutputs(lookup=Lookup(Rows.joined(parts)), models=models, n_unreadable=n_unreadable)


def _decisions(events: pa.RecordBatch, created: str, wanted: Bounds, paths: Paths, models: Counter[str]) -> Rows:
    """Return the rows of the events that are of wanted inputs, and count their models."""
    source: Any = events["source"]
    events = events.filter(pc.equal(source.field("topic"), pa.scalar(created)))
    rows = rows_of_events(events, paths)
    chosen = _is_wanted(rows, wanted)
    of_wanted = events.filter(pa.array(chosen))
    names, versions = of_wanted["model_name"].to_pylist(), of_wanted["model_version"].to_pylist()
    models.update(f"{name} {version}" for name, version in zip(names, versions, strict=True))
    return rows.take(chosen)


def _tombstones(batch: Sequence[TopicRecord], created: str) -> Iterator[tuple[int, int]]:
    for record in batch:
        if record.value is None:
            place = Place.parse(header_text(record, "ce_id"))
            if place is not None and place.topic == created:
                yield place.partition, place.offset


def _dead_letters(batch: Sequence[TopicRecord], created: str) -> Iterator[tuple[int, int]]:
    for record in batch:
        found = read_failure(record.headers)
        if found is None or found[1].topic != created:
            continue
        partition, offset = found[1].partition, found[1].offset
        if partition is not None and offset is not None:
            yield partition, offset


def _is_wanted(rows: Rows, wanted: Bounds) -> npt.NDArray[np.bool_]:
    chosen = np.zeros(len(rows.offset), np.bool_)
    for partition, (first, last) in wanted.items():
        chosen |= (rows.partition == partition) & (rows.offset >= first) & (rows.offset <= last)
    return chosen
