"""A catalogue topic filled with made-up products."""

from __future__ import annotations

from contextlib import closing

import pyarrow as pa
from confluent_kafka import Producer

from schemas.avro_files import load_schema
from schemas.encoding import Encoder
from schemas.registry import ConfluentRegistry

_SCHEMA = load_schema("labelled_product")


def fill(
    bootstrap: str, registry_url: str, topic: str, products: pa.Table, *, removed: tuple[str, ...] = ()
) -> None:
    """Send the products, then a tombstone for each product_id of `removed`."""
    with closing(ConfluentRegistry(registry_url)) as registry:
        encoder = Encoder(_SCHEMA, registry.register(f"{topic}-value", _SCHEMA))
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5})
    values = encoder.encode(products.combine_chunks().to_batches()[0])
    for product_id, value in zip(map(str, products["product_id"].to_pylist()), values, strict=True):
        producer.produce(topic, value, product_id.encode())
    for product_id in removed:
        producer.produce(topic, None, product_id.encode())
    assert producer.flush(30) == 0
