from __future__ import annotations

import uuid
from collections.abc import Iterator

import pyarrow as pa
import pytest

from schemas import columns
from schemas.avro_files import load_examples, load_schema
from schemas.decoding import Decoder
from schemas.encoding import Encoder
from schemas.registry import ConfluentRegistry
from schemas.wire import split
from tests.unit.schemas.avro_oracle import write_value
from tests.unit.schemas.registry_contract import RegistryContract
from tests.unit.schemas.test_writers import NEW_ROW, NEWER

pytestmark = pytest.mark.integration


@pytest.fixture
def registry(registry_url: str) -> Iterator[ConfluentRegistry]:
    registry = ConfluentRegistry(registry_url)
    yield registry
    registry.close()


class TestConfluentRegistry(RegistryContract):
    pass


def test_values_of_two_writers_are_decoded_by_their_ids_and_an_unknown_id_is_rejected(
    registry: ConfluentRegistry, registry_url: str
) -> None:
    subject = f"decode-{uuid.uuid4().hex}-value"
    text = load_schema("product_created")
    registry.set_compatibility(subject, "NONE")
    schema_id = registry.register(subject, text)
    newer_id = registry.register(subject, NEWER)
    batch = pa.RecordBatch.from_pylist(load_examples("product_created"), schema=columns.PRODUCT)
    values = Encoder(text, schema_id).encode(batch)
    assert {split(value)[0] for value in values} == {schema_id}
    newer = write_value(newer_id, NEWER, NEW_ROW)
    unknown = b"\x00\x7f\xff\xff\xfe" + values[0][5:]

    fresh = ConfluentRegistry(registry_url)  # knows nothing but what it asks for
    decoded = Decoder(fresh, text, columns.PRODUCT).decode([unknown, *values, newer, unknown])
    fresh.close()
    assert decoded.batch.slice(0, len(values)).equals(batch)
    assert decoded.batch.column("title").to_pylist()[-1] == "New"
    assert decoded.schema_ids == {schema_id, newer_id}
    reason = "schema id 2147483646 is not known to the registry"
    assert [(one.row, one.reason) for one in decoded.rejected] == [(0, reason), (len(values) + 2, reason)]
