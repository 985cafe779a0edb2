"""The whole job as a competent team writes it first: an event at a time, but for the model, which takes batches.

AvroDeserializer, a pydantic model, features in plain Python, `Booster.predict`, AvroSerializer, CloudEvents
headers. The loop, the Streams library or the agent around it is what the benchmark compares.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from benchmarks.peers.plain_decider import PlainDecider
from benchmarks.peers.plain_product import Product
from benchmarks.peers.task import Task

_AVRO: Final = Path(__file__).resolve().parents[2] / "schemas" / "avro"

Headers = list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Event:
    """A record as it came from Kafka."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A record to send."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers


class PlainJob:
    """Decides on events; blocks on the registry at the first of each schema."""

    def __init__(self, task: Task) -> None:
        registry = SchemaRegistryClient({"url": task.registry})
        self._deserialize = AvroDeserializer(registry, (_AVRO / "product_created.avsc").read_text())
        self._serialize = AvroSerializer(
            registry,
            (_AVRO / "product_categorized.avsc").read_text(),
            conf={"auto.register.schemas": False},
        )
        self._decider = PlainDecider(Path(task.model))
        self._source = f"/peer/{task.group}".encode()
        self._input = SerializationContext(task.topic, MessageField.VALUE)
        self._outputs = {
            is_review: (topic, SerializationContext(topic, MessageField.VALUE))
            for is_review, topic in ((False, task.categorized), (True, task.review))
        }

    def run(self, events: Sequence[Event]) -> list[Outcome]:
        """Return what is to be sent, in the order given. Raises ValueError if an event is not in order."""
        products = [self._read(event) for event in events]
        told = self._decider.decide(products)
        now = time.time_ns() // 1_000_000
        return [self._write(*row, now) for row in zip(events, told, strict=True)]

    def _read(self, event: Event) -> Product:
        product = Product.model_validate(self._deserialize(event.value, self._input))
        if product.product_id.encode() != event.key:
            raise ValueError(f"key {event.key!r} is not the product_id {product.product_id!r}")
        return product

    def _write(self, event: Event, told: Mapping[str, Any], now_ms: int) -> Outcome:
        topic, context = self._outputs[told["decision"] == "review"]
        value = self._serialize(
            {
                **told,
                **self._decider.constants,
                "source": {"topic": event.topic, "partition": event.partition, "offset": event.offset},
                "categorized_at": now_ms,
            },
            context,
        )
        if value is None:
            raise ValueError("the serializer gave nothing")
        return Outcome(topic, event.key, value, self._headers(event, now_ms))

    def _headers(self, event: Event, now_ms: int) -> Headers:
        at = datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds")
        headers = [
            ("ce_specversion", b"1.0"),
            ("ce_id", f"{event.topic}/{event.partition}/{event.offset}".encode()),
            ("ce_source", self._source),
            ("ce_type", b"io.sortline.product.categorized.v1"),
            ("ce_time", at.replace("+00:00", "Z").encode()),
            ("content-type", b"application/avro"),
        ]
        for name, value in event.headers:
            if name == "traceparent":
                headers.append((name, value))
        return headers
