"""What pyruhvro does to us: if one of these fails after an upgrade, a work-around may go, or a new one is due."""

from __future__ import annotations

import json

import pytest

from schemas import columns
from schemas.avro_files import load_schema
from schemas.avro_types import Enum, Map, Primitive, Union, parse_record
from schemas.columnar_avro import ColumnarAvroError, carries, decode_columns
from schemas.decoding import Decoder
from schemas.registry import InMemoryRegistry
from tests.unit.schemas.avro_oracle import write_value
from tests.unit.schemas.batches import rows_of

TEXT = Primitive("string")


def one_field(avro_type: object) -> str:
    return json.dumps({"type": "record", "name": "R", "fields": [{"name": "v", "type": avro_type}]})


def test_a_panic_is_an_error_like_any_other() -> None:
    with pytest.raises(ColumnarAvroError, match="not implemented"):
        decode_columns([b"\x02x"], one_field("bytes"))


def test_bytes_after_a_datum_go_unnoticed() -> None:
    assert decode_columns([b"\x02x and more"], one_field("string")).to_pydict() == {"v": ["x"]}


def test_an_int_is_cut_to_32_bits() -> None:
    datum = b"\x80\x80\x80\x80\x40"  # 2**33
    assert decode_columns([datum], one_field("int")).to_pydict() == {"v": [0]}
    assert decode_columns([datum], one_field("long")).to_pydict() == {"v": [2**33]}


def test_text_that_is_not_utf_8_is_an_error() -> None:
    with pytest.raises(ColumnarAvroError, match="UTF8"):
        decode_columns([b"\x02a", b"\x02\xff"], one_field("string"))


@pytest.mark.parametrize(
    ("avro_type", "can"),
    [
        (TEXT, True),
        (Primitive("long", "timestamp-millis"), True),
        (Enum("E", ("a",)), True),
        (Union((Primitive("null"), TEXT)), True),
        (Union((TEXT, Primitive("null"))), True),
        (Union((Primitive("null"), TEXT, Primitive("long"))), False),
        (Primitive("bytes"), False),
        (Map(TEXT), False),
        (parse_record(load_schema("product_categorized")), True),
    ],
)
def test_types_that_would_panic_are_kept_away(avro_type: Primitive, can: bool) -> None:
    assert carries(avro_type) is can


def test_a_schema_that_fails_its_trial_is_read_row_by_row() -> None:
    registry = InMemoryRegistry()
    text = load_schema("product_created")
    node = json.loads(text)
    node["fields"].append({"name": "sortline_end_of_datum", "type": "double"})  # the name of our own mark
    writer = json.dumps(node)
    row = dict.fromkeys(columns.PRODUCT.names) | {"product_id": "p", "title": "t"}
    value = write_value(registry.register("w", writer), writer, row | {"sortline_end_of_datum": 1.0})
    decoded = Decoder(registry, text, columns.PRODUCT).decode([value] * 20)
    assert rows_of(decoded.batch) == [row] * 20
