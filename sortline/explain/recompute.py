"""The decision made once more from the input, and compared with what was published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from models.serving.served import Classifier
from schemas.avro_files import load_schema
from schemas.avro_types import parse_record
from schemas.columns import PRODUCT_CATEGORIZED
from schemas.decoding import Decoder
from schemas.encoding import Encoder
from schemas.registry import InMemoryRegistry, SchemaRegistry
from schemas.wire import SchemaId, split
from sortline.topic_reader import TopicRecord
from streams.replay import decide_again, replay_processor

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SCHEMA: Final = "product_categorized"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A field that the recomputed event has otherwise."""

    field: str
    published: object
    recomputed: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Recomputation:
    """What came of deciding again.

    Attributes:
        is_equal: whether it is what was published, by what `compared_by` says.
        compared_by: `bytes`, or `fields` where this program cannot write the schema of the event.
        sentence: the outcome in words.
        differences: the fields that differ.
        value: the recomputed value; None for a tombstone or a dead letter.
    """

    is_equal: bool
    compared_by: str
    sentence: str
    differences: tuple[Difference, ...] = ()
    value: bytes | None = None


def recompute(
    event: TopicRecord,
    row: Mapping[str, Any],
    source: TopicRecord,
    classifier: Classifier,
    registry: SchemaRegistry,
) -> Recomputation:
    """Decide on the input `source` by the stream's code with this model, and compare with the published `event`.

    `row` is the event decoded. Its time of decision is taken for the clock, its schema is written with, so that
    all its bytes can be compared; an event of a schema that this program cannot write is compared by the fields
    that both know. Raises DependencyUnavailableError if the registry does not answer.
    """
    assert event.value is not None
    written = _written_with(event.value, registry)
    at_ms = (row["categorized_at"] - _EPOCH) // timedelta(milliseconds=1)
    processor = replay_processor(
        classifier, registry, encoder=written.encoder, group_id="explain-event", now_ms=lambda: at_ms
    )
    again = decide_again(processor, source)
    value = again.output.value
    if again.destination == "dead_letters":
        sentence = f"differs: the input would be a dead letter now ({again.reason})"
        return Recomputation(is_equal=False, compared_by="fields", sentence=sentence)
    if value is None:
        sentence = "differs: the input has a null value, which withdraws the product"
        return Recomputation(is_equal=False, compared_by="fields", sentence=sentence)
    recomputed = _decoded(value, written.registry)
    differences = [
        Difference(field=name, published=row[name], recomputed=recomputed[name])
        for name in written.fields
        if row[name] != recomputed[name]
    ]
    if event.key != source.key:
        differences.append(Difference(field="record key", published=event.key, recomputed=source.key))
    is_equal = not differences and (not written.by_bytes or value == event.value)
    return Recomputation(
        is_equal=is_equal,
        compared_by="bytes" if written.by_bytes else "fields",
        sentence=_sentence(is_equal, differences, len(event.value), written),
        differences=tuple(differences),
        value=value,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """How an event was written, and how to write the recomputed one so that the two can be compared.

    Attributes:
        schema_id: of the event.
        is_ours: whether its schema is the present one.
        fields: those that the event and this program both have.
        lacks: those of ours that the event has not.
        by_bytes: whether `encoder` writes the very schema of the event.
        registry: knows what `encoder` writes with.
    """

    schema_id: SchemaId
    is_ours: bool
    fields: tuple[str, ...]
    lacks: tuple[str, ...]
    by_bytes: bool
    encoder: Encoder
    registry: SchemaRegistry


def _written_with(value: bytes, registry: SchemaRegistry) -> _Written:
    schema_id, _ = split(value)
    text, our_text = registry.schema_by_id(schema_id), load_schema(_SCHEMA)
    theirs, ours = parse_record(text), parse_record(our_text)
    known = {one.name: one.type for one in ours.fields}
    there = {one.name for one in theirs.fields}
    by_bytes = all(known.get(one.name) == one.type for one in theirs.fields)
    own = registry
    encoder_id = schema_id
    if not by_bytes:
        own = InMemoryRegistry()
        text, encoder_id = our_text, own.register(_SCHEMA, our_text)
    return _Written(
        schema_id=schema_id,
        is_ours=theirs == ours,
        fields=tuple(name for name in known if name in there),
        lacks=tuple(name for name in known if name not in there),
        by_bytes=by_bytes,
        encoder=Encoder(text, encoder_id),
        registry=own,
    )


def _decoded(value: bytes, registry: SchemaRegistry) -> Mapping[str, Any]:
    decoded = Decoder(registry, load_schema(_SCHEMA), PRODUCT_CATEGORIZED).decode([value])
    (row,) = decoded.batch.to_pylist()
    return dict(row)


def _sentence(is_equal: bool, differences: list[Difference], size: int, written: _Written) -> str:
    how = ""
    if not written.is_ours:
        lacks = f", which lacks {', '.join(written.lacks)}" if written.lacks else ""
        by = "byte for byte by that schema" if written.by_bytes else "by fields"
        how = f" (written with schema id {written.schema_id}{lacks}; compared {by})"
    if is_equal:
        return f"equal: {f'all {size} bytes' if written.by_bytes else 'all fields'} are the same{how}"
    if not differences:
        return f"differs: every field is the same, the bytes are not{how}"
    return f"differs in {', '.join(one.field for one in differences)}{how}"
