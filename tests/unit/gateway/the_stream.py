"""The worker's own code on Avro records, without a broker: what the gateway has to agree with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from models.serving.served import Classifier
from schemas import columns
from schemas.avro_files import load_schema
from schemas.decoding import Decoder
from schemas.encoding import Encoder
from schemas.registry import InMemoryRegistry
from streams.records import Output
from streams.slices import SliceProcessor
from streams.warm_up import MadeUpRecord

_TOPIC: Final = "products.created"
_REASON: Final = "__connect.errors.exception.message"


class Stream:
    """Decides as a worker does."""

    def __init__(self, classifier: Classifier) -> None:
        registry = InMemoryRegistry()
        created, categorized = load_schema("product_created"), load_schema("product_categorized")
        self._encoder = Encoder(created, registry.register(f"{_TOPIC}-value", created))
        self._created = Decoder(registry, created, columns.PRODUCT)
        self._published = Decoder(registry, categorized, columns.PRODUCT_CATEGORIZED)
        self._processor = SliceProcessor(
            decoder=Decoder(registry, created, columns.PRODUCT),
            classifier=classifier,
            encoder=Encoder(categorized, registry.register("products.categorized-value", categorized)),
            group_id="sorters",
            now_ms=lambda: 0,
        )

    def decoded(self, products: pa.RecordBatch) -> pa.RecordBatch:
        """Return products as they come out of their Avro records."""
        return self._created.decode(self._encoder.encode(products)).batch

    def events(self, products: pa.RecordBatch) -> pa.RecordBatch:
        """Return what is published of valid products, in their order, as `columns.PRODUCT_CATEGORIZED`."""
        outputs = self._processor.process(self._records(products))
        assert not outputs.dead_letters
        values = [one.value or b"" for one in (*outputs.categorized, *outputs.review)]
        events = self._published.decode(values).batch
        return events.take(pc.sort_indices(pc.struct_field(events["source"], "offset")))

    def published(self, products: pa.RecordBatch) -> list[dict[str, Any]]:
        """Return what becomes of each product: the published event, or `{"reason": ...}` of its dead letter."""
        outputs = self._processor.process(self._records(products))
        events: list[Output] = [*outputs.categorized, *outputs.review]
        rows = self._published.decode([one.value or b"" for one in events]).batch.to_pylist()
        found: dict[int, dict[str, Any]] = {row["source"]["offset"]: row for row in rows}
        for position, letter in zip(outputs.dead_positions, outputs.dead_letters, strict=True):
            found[position] = {"reason": (dict(letter.headers)[_REASON] or b"").decode()}
        return [found[offset] for offset in range(products.num_rows)]

    def _records(self, products: pa.RecordBatch) -> Sequence[MadeUpRecord]:
        values = self._encoder.encode(products)
        keys = [product_id.encode() for product_id in products["product_id"].to_pylist() if product_id is not None]
        return [
            MadeUpRecord(topic=_TOPIC, partition=0, offset=offset, key=key, value=value)
            for offset, (key, value) in enumerate(zip(keys, values, strict=True))
        ]


def as_json(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of `columns.PRODUCT` as a caller writes it: no nulls, times as RFC 3339."""
    told = {name: value for name, value in row.items() if value is not None}
    if "created_at" in told:
        told["created_at"] = told["created_at"].isoformat()
    return told
