"""Events for the benchmarks: the sample catalogue, over and over, each product under an id of its own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from confluent_kafka import Producer
from pyarrow import parquet

from schemas import columns
from schemas.avro_files import load_schema
from schemas.cloudevents import product_headers, rfc3339
from schemas.encoding import Encoder
from schemas.product_files import read_products
from schemas.registry import SchemaRegistry
from schemas.topics import TopicNames

SAMPLE: Final = Path(__file__).resolve().parents[2] / "sortline" / "sample_data" / "pcparts.parquet"
TRACEPARENT: Final = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

_KEY: Final = "bench-%d"


def n_products() -> int:
    """Return how many products the catalogue has: events so far apart differ in nothing but the id."""
    return int(parquet.read_metadata(SAMPLE).num_rows)


def products(n_events: int) -> pa.RecordBatch:
    """Return the products of the events, `columns.PRODUCT`; event i has the id that `number_of` turns into i."""
    table = read_products(SAMPLE, labelled=False).select(columns.PRODUCT.names).combine_chunks()
    batch = table.take(np.arange(n_events) % table.num_rows).combine_chunks().to_batches()[0]
    ids = pa.array([_KEY % i for i in range(n_events)])
    return batch.set_column(0, columns.PRODUCT.field("product_id"), ids)


def number_of(key: bytes) -> int:
    """Return the number of the event with this key.

    >>> number_of(b"bench-12")
    12
    """
    return int(key[len(_KEY) - 2 :])


def event_values(registry: SchemaRegistry, names: TopicNames, n_events: int) -> tuple[list[bytes], list[bytes]]:
    """Return keys and framed values of the events."""
    schema_id = registry.latest(f"{names.created}-value")
    if schema_id is None:
        raise SystemExit("the topic's schema is not registered")
    batch = products(n_events)
    keys = [(_KEY % i).encode() for i in range(n_events)]
    return keys, Encoder(load_schema("product_created"), schema_id).encode(batch)


def event_headers(event_id: str) -> list[tuple[str, str | bytes]]:
    """Return the headers of an event: CloudEvents and a traceparent."""
    headers = product_headers(
        source="/bench", type="bench.created", event_id=event_id, time_header=rfc3339(int(time.time() * 1000))
    )
    return [*headers, ("traceparent", TRACEPARENT)]


def produce(bootstrap: str, topic: str, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
    """Send the events as fast as it goes, and wait until all are delivered."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 20, "batch.size": 900_000})
    for i, (key, value) in enumerate(zip(keys, values, strict=True)):
        while True:
            try:
                producer.produce(topic, key=key, value=value, headers=event_headers(str(i)))
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush()
