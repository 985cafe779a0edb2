"""A registry that knows our schemas, and decoders and encoders on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest

from schemas import columns
from schemas.avro_files import load_schema
from schemas.decoding import Decoder
from schemas.encoding import Encoder
from schemas.registry import InMemoryRegistry
from schemas.wire import SchemaId

COLUMNS = {
    "product_created": columns.PRODUCT,
    "labelled_product": columns.LABELLED_PRODUCT,
    "product_categorized": columns.PRODUCT_CATEGORIZED,
    "model_swap": columns.MODEL_SWAP,
    "model_announced": columns.MODEL_ANNOUNCED,
}


@dataclass(frozen=True)
class Subject:
    """One of our schemas, registered."""

    stem: str
    text: str
    schema_id: SchemaId
    columns: pa.Schema
    decoder: Decoder
    encoder: Encoder

    def batch(self, rows: list[dict[str, Any]]) -> pa.RecordBatch:
        return pa.RecordBatch.from_pylist(rows, schema=self.columns)


@pytest.fixture
def registry() -> InMemoryRegistry:
    return InMemoryRegistry()


@pytest.fixture
def subject(registry: InMemoryRegistry) -> Callable[[str], Subject]:
    def make(stem: str) -> Subject:
        text = load_schema(stem)
        schema_id = registry.register(f"{stem}-value", text)
        return Subject(
            stem, text, schema_id, COLUMNS[stem], Decoder(registry, text, COLUMNS[stem]), Encoder(text, schema_id)
        )

    return make


@pytest.fixture
def product(subject: Callable[[str], Subject]) -> Subject:
    return subject("product_created")
