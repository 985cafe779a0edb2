"""Decides again on records that were read before, by the code of the stream and with any model; no Kafka here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from models.serving.served import Classifier
from schemas.avro_files import load_schema
from schemas.columns import PRODUCT
from schemas.decoding import Decoder
from schemas.encoding import Encoder
from schemas.registry import SchemaRegistry
from streams.dialects import read_failure
from streams.records import Output, Record
from streams.slices import SliceOutputs, SliceProcessor

Destination: TypeAlias = Literal["categorized", "review", "dead_letters"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Redecision:
    """What the stream makes of a record now.

    Attributes:
        destination: which topic the output is for.
        output: as it would be written; a dead letter has the value of the input.
        reason: what is wrong with the record, if it is a dead letter.
    """

    destination: Destination
    output: Output
    reason: str | None = None

    @property
    def is_tombstone(self) -> bool:
        """Whether it tells that the product was withdrawn."""
        return self.destination == "categorized" and self.output.value is None


def replay_processor(
    classifier: Classifier,
    registry: SchemaRegistry,
    *,
    encoder: Encoder,
    review_encoder: Encoder | None = None,
    group_id: str,
    now_ms: Callable[[], int],
) -> SliceProcessor:
    """Return the processor that a worker of the group would have with this model."""
    return SliceProcessor(
        decoder=Decoder(registry, load_schema("product_created"), PRODUCT),
        classifier=classifier,
        encoder=encoder,
        review_encoder=review_encoder,
        group_id=group_id,
        now_ms=now_ms,
    )


def decide_again(processor: SliceProcessor, record: Record) -> Redecision:
    """Decide on one record. Raises as `SliceProcessor.process` does."""
    (redecision,) = redecisions(processor.process([record]))
    return redecision


def redecisions(outputs: SliceOutputs) -> Iterator[Redecision]:
    """Yield what became of every record of a slice: first what is categorized, then review, then dead letters."""
    for output in outputs.categorized:
        yield Redecision(destination="categorized", output=output)
    for output in outputs.review:
        yield Redecision(destination="review", output=output)
    for output in outputs.dead_letters:
        yield Redecision(destination="dead_letters", output=output, reason=_reason(output))


def _reason(output: Output) -> str:
    found = read_failure(output.headers)
    return (found[1].reason if found is not None else None) or "no reason given"
