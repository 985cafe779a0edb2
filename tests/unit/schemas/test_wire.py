from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InvalidRecordError
from schemas.wire import LARGEST_SCHEMA_ID, SchemaId, frame, split


@given(st.integers(0, LARGEST_SCHEMA_ID), st.binary(max_size=20))
def test_a_framed_datum_splits_into_what_it_was(schema_id: int, datum: bytes) -> None:
    assert split(frame(SchemaId(schema_id), datum)) == (schema_id, datum)


def test_the_header_is_that_of_confluent_serializers() -> None:
    assert frame(SchemaId(258), b"x") == b"\x00\x00\x00\x01\x02x"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (
            b'{"product_id": "a"}',
            "value is not Confluent wire format: first byte is 0x7b, expected 0x00; "
            "was it written without the Avro serializer?",
        ),
        (b"", "value is empty; a withdrawn product has a null value, not an empty one"),
        (b"\x00\x00\x01", "value is not Confluent wire format: it ends inside the header, 5 bytes long, after 3"),
        (b"\x00\xff\xff\xff\xff", "schema id 4294967295 is above 2147483647, which no registry gives"),
    ],
)
def test_a_value_without_header_gets_a_reason(value: bytes, reason: str) -> None:
    with pytest.raises(InvalidRecordError) as raised:
        split(value)
    assert raised.value.reason == reason
