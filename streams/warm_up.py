"""Sends made-up records through a processor, so that everything is compiled before the first real one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.serving.try_out import made_up_products
from schemas.avro_files import load_schema
from schemas.encoding import Encoder
from schemas.registry import SchemaRegistry
from streams.batch_reading import read_batch
from streams.batch_writing import write_batch
from streams.output_columns import Outputs, OutputSlice
from streams.record_slice import RecordSlice
from streams.records import Header, Record
from streams.slices import SliceProcessor


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeUpRecord:
    """A record that was never in Kafka."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp: int = 0
    timestamp_type: int = 0
    headers: Sequence[Header] = ()


def warm_up(processor: SliceProcessor, registry: SchemaRegistry, topic: str) -> int:
    """Process made-up products as if they came from the topic, and drop the outputs; return how many.

    Does nothing if the topic's subject has no schema yet. Raises whatever the processor would raise on a slice.
    """
    subject, schema = f"{topic}-value", load_schema("product_created")
    if registry.latest(subject) is None:
        return 0
    # Not by the latest schema's id: that may be another schema, and nothing would decode.
    products = made_up_products()
    values = Encoder(schema, registry.register(subject, schema)).encode(products)
    records: list[Record] = [
        MadeUpRecord(topic=topic, partition=0, offset=offset, key=str(product_id).encode(), value=value)
        for offset, (product_id, value) in enumerate(zip(products["product_id"].to_pylist(), values, strict=True))
    ]
    outputs = processor.process(records)
    for where in (outputs.categorized, outputs.review):
        for part in where.parts if isinstance(where, Outputs) else ():
            _write_and_read(part)
    return outputs.n_records


def _write_and_read(outputs: OutputSlice) -> None:
    """Go the way to the broker and back, without a broker."""
    batch, _ = write_batch(outputs.arrays, 0, most_bytes=1 << 20, compression=None, is_transactional=False)
    data = np.frombuffer(bytes(batch._build()), np.uint8)
    list(RecordSlice(outputs.source, read_batch(data, 0, len(data))))
