"""Flat records read by our own kernel, against pyruhvro."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from schemas.avro_files import load_examples, load_schema
from schemas.avro_types import parse_record, schema_text
from schemas.columnar_avro import decode_columns
from schemas.flat_avro import FlatRecord
from schemas.framed import FramedValues
from tests.unit.schemas.conftest import Subject


def flat(*types: object) -> FlatRecord | None:
    fields = [{"name": f"f{number}", "type": avro_type} for number, avro_type in enumerate(types)]
    return FlatRecord.of(parse_record(json.dumps({"type": "record", "name": "R", "fields": fields})))


@pytest.mark.parametrize(
    ("types", "is_flat"),
    [
        (["string", "int", "long", "double", ["null", "string"], ["double", "null"]], True),
        ([{"type": "long", "logicalType": "timestamp-millis"}], True),
        ([], False),
        (["float"], False),
        (["bytes"], False),
        (["null"], False),
        ([["string"]], False),
        ([["null", "string", "long"]], False),
        (["string", {"type": "array", "items": "string"}], False),
    ],
)
def test_records_of_texts_and_numbers_are_flat(types: list[object], is_flat: bool) -> None:
    assert (flat(*types) is not None) is is_flat


def test_columns_are_those_that_pyruhvro_gives(subject: Callable[[str], Subject]) -> None:
    our = subject("product_created")
    record = parse_record(load_schema("product_created"))
    reader = FlatRecord.of(record)
    assert reader is not None
    values = our.encoder.encode(our.batch(load_examples("product_created") * 3))
    expected = decode_columns([value[5:] for value in values], schema_text(record))
    found = reader.read(FramedValues.of(values))
    assert found is not None
    assert [column.type for column in found] == expected.schema.types
    assert all(column.equals(other) for column, other in zip(found, expected.columns, strict=True))
    assert {column.null_count for column in found} != {0}


@pytest.mark.parametrize(
    ("avro_type", "datum"),
    [
        ("string", b"\x04a"),
        ("string", b"\x03"),
        ("string", b"\x02\xff"),
        ("string", b"\xfe" + b"\xff" * 8 + b"\x01"),
        ("string", b""),
        ("long", b"\x80"),
        ("long", b"\x80" * 10 + b"\x00"),
        ("double", b"1234567"),
        (["null", "long"], b"\x04\x00"),
        (["null", "long"], b"\x01"),
        (["null", "long"], b"\x00\x00"),
    ],
)
def test_a_datum_with_a_fault_is_not_read(avro_type: object, datum: bytes) -> None:
    reader = flat(avro_type)
    assert reader is not None
    whole = b"\x00" if isinstance(avro_type, list) else bytes(8 if avro_type == "double" else 1)
    frame = b"\x00\x00\x00\x00\x01"
    assert reader.read(FramedValues.of([frame + whole] * 2)) is not None
    assert reader.read(FramedValues.of([frame + whole, frame + datum])) is None
    assert reader.read(FramedValues.of([frame + datum, frame + whole])) is None
