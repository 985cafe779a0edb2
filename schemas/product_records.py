"""Products as records for Kafka: key product_id, Avro value, CloudEvents headers. Whoever publishes uses this."""

from __future__ import annotations

import time
import uuid
from typing import Final, NamedTuple

import pyarrow as pa

from schemas.avro_files import load_schema
from schemas.cloudevents import TRACEPARENT, Headers, product_headers, rfc3339
from schemas.encoding import Encoder
from schemas.registry import SchemaRegistry

CREATED_TYPE: Final = "io.sortline.product.created.v1"
LABELLED_TYPE: Final = "io.sortline.product.labelled.v1"
WITHDRAWN_TYPE: Final = "io.sortline.product.withdrawn.v1"

#: How librdkafka must be set up wherever products are published: nothing twice and nothing out of order by its own
#: retries, all replicas asked, and a key on the partition on which Java clients and the stream put it.
PRODUCER_SETTINGS: Final[dict[str, str | int | bool]] = {
    "enable.idempotence": True,
    "acks": "all",
    "compression.type": "lz4",
    "partitioner": "murmur2_random",
    "log_level": 2,  # librdkafka's own lines on stderr would only repeat our sentence
}


class OutgoingRecord(NamedTuple):
    """What goes to the broker; `value` None withdraws the product."""

    key: bytes
    value: bytes | None
    headers: Headers


def encoder_for(topic: str, *, labelled: bool, registry: SchemaRegistry) -> Encoder:
    """Register the schema of the topic's values and return what encodes them."""
    schema = load_schema("labelled_product" if labelled else "product_created")
    return Encoder(schema, registry.register(f"{topic}-value", schema))


def product_records(
    products: pa.RecordBatch,
    encoder: Encoder,
    *,
    source: str,
    labelled: bool = False,
    traceparent: bytes | None = None,
    now_ms: int | None = None,
) -> list[OutgoingRecord]:
    """Return one record a product, in order, each with an event id of its own; `source` tells who publishes."""
    kind = LABELLED_TYPE if labelled else CREATED_TYPE
    time_header = _time_header(now_ms)
    return [
        OutgoingRecord(str(key).encode(), value, _headers(source, kind, time_header, traceparent))
        for key, value in zip(products["product_id"].to_pylist(), encoder.encode(products), strict=True)
    ]


def withdrawal(
    product_id: str, *, source: str, traceparent: bytes | None = None, now_ms: int | None = None
) -> OutgoingRecord:
    """Return the tombstone of a product; the stream passes it on."""
    headers = _headers(source, WITHDRAWN_TYPE, _time_header(now_ms), traceparent)
    return OutgoingRecord(product_id.encode(), None, headers)


def _time_header(now_ms: int | None) -> bytes:
    return rfc3339(time.time_ns() // 1_000_000 if now_ms is None else now_ms)


def _headers(source: str, kind: str, time_header: bytes, traceparent: bytes | None) -> Headers:
    headers = product_headers(source=source, type=kind, event_id=uuid.uuid4().hex, time_header=time_header)
    return headers if traceparent is None else [*headers, (TRACEPARENT, traceparent)]
