"""Producers whose schema is older or newer than ours, or that no producer should have."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from schemas import columns
from schemas.avro_files import load_schema
from schemas.avro_types import parse_record
from schemas.decoding import DecodedBatch, Decoder
from schemas.registry import InMemoryRegistry
from schemas.writers import Reader, Writer
from tests.unit.schemas.avro_oracle import read_value, write_value
from tests.unit.schemas.batches import rows_of
from tests.unit.schemas.conftest import Subject

ABSENT = dict.fromkeys(columns.PRODUCT.names)


def record(*fields: tuple[str, Any] | tuple[str, Any, Any], name: str = "ProductCreated") -> str:
    """A schema of these fields (name, type, and default if there is one) and, if they lack them, id and title."""
    nodes = [
        {"name": field[0], "type": field[1]} | ({"default": field[2]} if len(field) == 3 else {})
        for field in fields
    ]
    have = {node["name"] for node in nodes}
    required = [{"name": need, "type": "string"} for need in ("product_id", "title") if need not in have]
    return json.dumps(
        {"type": "record", "name": name, "namespace": "io.sortline.products", "fields": required + nodes}
    )


#: Before there were ratings and times; prices were whole ints, and the brand was required.
OLDER = record(("brand", "string"), ("price_minor", "int"))

#: With fields that we do not know, in another order, and one more possible currency type.
NEWER = json.dumps(
    {
        "type": "record",
        "name": "ProductCreated",
        "namespace": "io.sortline.products",
        "fields": [
            {
                "name": "media",
                "type": {
                    "type": "array",
                    "items": {
                        "type": "record",
                        "name": "Image",
                        "fields": [{"name": "url", "type": "string"}, {"name": "alt", "type": ["null", "string"]}],
                    },
                },
            },
            {"name": "is_digital", "type": "boolean"},
            {"name": "title", "type": "string"},
            {"name": "product_id", "type": "string"},
            {"name": "rating", "type": ["null", "float"], "default": None},
            {"name": "reviews_count", "type": ["int", "null"]},
            {"name": "stock", "type": {"type": "enum", "name": "Stock", "symbols": ["yes", "no"]}},
            {"name": "cover", "type": ["null", "Image"], "default": None},
            *json.loads(load_schema("product_created"))["fields"][2:8],
        ],
    }
)
OLD_ROW = {"product_id": "o", "title": "Old", "brand": "B", "price_minor": -7}
NEW_ROW = {
    "product_id": "n",
    "title": "New",
    "media": [{"url": "u", "alt": None}, {"url": "v", "alt": "ü"}],
    "is_digital": True,
    "rating": 4.5,
    "reviews_count": 3,
    "stock": "no",
    "cover": {"url": "w", "alt": "x"},
    "price_minor": 5,
}


@pytest.fixture
def decode_one(registry: InMemoryRegistry, product: Subject) -> Any:
    def decode(writer: str, row: dict[str, Any]) -> DecodedBatch:
        schema_id = registry.register("other", writer)
        value = write_value(schema_id, writer, row)
        decoded = product.decoder.decode([value])
        expected = read_value(value, {schema_id: writer}, product.text)
        assert rows_of(decoded.batch) == ([] if expected is None else [expected]), decoded.rejected
        # The same from columns and row by row.
        assert rows_of(product.decoder.decode([value] * 40).batch) == rows_of(decoded.batch) * 40
        return decoded

    return decode


def is_read_by_column(writer: str, product: Subject) -> bool:
    return Writer(parse_record(writer), Reader.of(parse_record(product.text), product.columns)).by_column


def test_older_newer_and_present_producers_and_broken_rows_share_a_batch(
    registry: InMemoryRegistry, product: Subject
) -> None:
    old, new = registry.register("old", OLDER), registry.register("new", NEWER)
    values, expected, broken = [], [], []
    for number in range(60):
        kind = number % 4
        row = {"product_id": f"p{number}", "title": f"Title {number}"}
        if kind == 0:
            values.append(write_value(old, OLDER, OLD_ROW | row))
            expected.append((number, ABSENT | OLD_ROW | row))
        elif kind == 1:
            values.append(write_value(new, NEWER, NEW_ROW | row))
            known = {name: value for name, value in NEW_ROW.items() if name in ABSENT}
            expected.append((number, ABSENT | known | row))
        elif kind == 2:
            values.append(write_value(product.schema_id, product.text, ABSENT | row))
            expected.append((number, ABSENT | row))
        else:
            which, text, whole = ((old, OLDER, OLD_ROW), (new, NEWER, NEW_ROW))[number // 4 % 2]
            values.append(
                write_value(which, text, whole | row)[:-1] if number % 8 == 3 else b"\x00\x00\x00\x00\x63x"
            )
            broken.append(number)
    decoded = product.decoder.decode(values)
    assert decoded.rows.tolist() == [number for number, _ in expected]
    assert rows_of(decoded.batch) == [row for _, row in expected]
    assert [one.row for one in decoded.rejected] == broken
    assert decoded.schema_ids == {product.schema_id, old, new}
    assert decoded.batch.schema.equals(columns.PRODUCT)


@pytest.mark.parametrize("writer", [OLDER, NEWER], ids=["older", "newer"])
def test_older_and_newer_producers_are_read_by_column(product: Subject, writer: str) -> None:
    assert is_read_by_column(writer, product)


READABLE: dict[str, tuple[str, dict[str, Any], dict[str, Any], bool]] = {
    "int to long": (record(("price_minor", "int")), {"price_minor": 2**31 - 1}, {}, True),
    "int to double": (record(("rating", "int")), {"rating": -3}, {"rating": -3.0}, True),
    "long to double, rounded": (
        record(("rating", ["null", "long"])),
        {"rating": 2**53 + 1},
        {"rating": 2.0**53},
        True,
    ),
    "float to double": (record(("rating", "float")), {"rating": 0.1}, {"rating": 0.10000000149011612}, True),
    "null union the other way round": (record(("brand", ["string", "null"], "x")), {"brand": None}, {}, True),
    "optional where we require, with a value": (record(("title", ["null", "string"])), {"title": "T"}, {}, True),
    "a union of one": (record(("brand", ["string"])), {"brand": "b"}, {}, False),
    "a union with a type that we do not know": (
        record(("brand", ["null", "string", "long"])),
        {"brand": "b"},
        {},
        False,
    ),
    "bytes to string": (record(("brand", "bytes")), {"brand": "é".encode()}, {"brand": "é"}, False),
    "always null": (record(("colour", "null")), {"colour": None}, {}, False),
    "a dropped decimal": (
        record(("tax", {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2})),
        {"tax": b"\x01"},
        {},
        False,
    ),
    "a dropped fixed": (record(("sku", {"type": "fixed", "name": "Sku", "size": 4})), {"sku": b"abcd"}, {}, False),
    "a dropped map": (
        record(("attributes", {"type": "map", "values": "string"})),
        {"attributes": {"a": "b"}},
        {},
        False,
    ),
    "a time of day": (record(("at", {"type": "int", "logicalType": "time-millis"})), {"at": 5}, {}, True),
    "a text id with a logical type": (
        record(("product_id", {"type": "string", "logicalType": "uuid"})),
        {"product_id": "4b2b1a0e"},
        {},
        True,
    ),
    "a time without its logical type": (record(("created_at", "long")), {"created_at": 9}, {}, True),
    "other documentation": (
        load_schema("product_created").replace("Maker or label.", "Maker."),
        {"brand": "b"},
        {},
        True,
    ),
}


@pytest.mark.parametrize("case", READABLE)
def test_a_writer_that_avro_can_resolve_is_read(decode_one: Any, product: Subject, case: str) -> None:
    writer, row, changes, by_column = READABLE[case]
    whole = {"product_id": "p", "title": "t"} | row
    decoded = decode_one(writer, whole)
    known = {name: value for name, value in whole.items() if name in ABSENT}
    assert rows_of(decoded.batch) == [ABSENT | known | changes]
    assert is_read_by_column(writer, product) is by_column


def test_a_null_where_we_require_a_value_rejects_that_row_only(
    registry: InMemoryRegistry, product: Subject
) -> None:
    writer = record(("title", ["null", "string"]))
    schema_id = registry.register("optional", writer)
    values = [
        write_value(schema_id, writer, {"product_id": str(number), "title": None if number == 7 else "t"})
        for number in range(50)
    ]
    decoded = product.decoder.decode(values)
    (rejected,) = decoded.rejected
    assert rejected.row == 7
    assert rejected.reason.startswith(f"value does not decode with schema id {schema_id}: SchemaResolutionError")
    assert decoded.batch.num_rows == 49


UNREADABLE: dict[str, tuple[str, dict[str, Any], str]] = {
    "no title": (
        json.dumps(
            {"type": "record", "name": "ProductCreated", "fields": [{"name": "product_id", "type": "string"}]}
        ),
        {},
        "schema id 2 cannot be read as ProductCreated: it has no field title, which ProductCreated requires",
    ),
    "another record": (
        record(name="OrderPlaced"),
        {"title": "t"},
        "schema id 2 cannot be read as ProductCreated: "
        "it is of record io.sortline.products.OrderPlaced, not io.sortline.products.ProductCreated",
    ),
    "a price in text": (
        record(("price_minor", "string"), ("rating", ["null", "string"])),
        {"title": "t", "price_minor": "5", "rating": None},
        "schema id 2 cannot be read as ProductCreated: its field price_minor is string, expected null or long; "
        "its field rating is null or string, expected null or double",
    ),
    "a time in microseconds": (
        record(("created_at", {"type": "long", "logicalType": "timestamp-micros"})),
        {"title": "t", "created_at": 5},
        "schema id 2 cannot be read as ProductCreated: "
        "its field created_at is long (timestamp-micros), expected null or long (timestamp-millis)",
    ),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_writer_that_cannot_be_read_is_rejected_with_the_field(
    registry: InMemoryRegistry, product: Subject, case: str
) -> None:
    writer, row, reason = UNREADABLE[case]
    schema_id = registry.register("other", writer)
    good = write_value(product.schema_id, product.text, ABSENT | {"product_id": "p", "title": "t"})
    bad = write_value(schema_id, writer, {"product_id": "p"} | row)
    decoded = product.decoder.decode([good, bad, good, bad])
    assert [(one.row, one.reason) for one in decoded.rejected] == [(1, reason), (3, reason)]
    assert decoded.schema_ids == {product.schema_id}


class AnyTextRegistry(InMemoryRegistry):
    """Has texts under ids that no registry would take as Avro, as one for JSON or Protobuf schemas has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.asked = 0

    def schema_by_id(self, schema_id: Any) -> str:
        self.asked += 1
        return self.text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('syntax = "proto3";', "schema id 9 is not an Avro schema that can be read here"),
        ('{"type": "object"}', "schema id 9 is not an Avro schema that can be read here"),
        ('"string"', "schema id 9 is an Avro schema, but not of a record"),
        ('{"type": "record", "name": "R", "fields": [{"name": "a", "type": "Elsewhere"}]}', "UnknownType"),
        (
            '{"type": "record", "name": "R", "fields": [{"name": "a", "type": ["null", "R"]}]}',
            "schema id 9 is an Avro schema in which R refers to itself",
        ),
    ],
)
def test_a_schema_that_is_of_no_use_is_rejected_and_asked_for_once(text: str, reason: str) -> None:
    registry = AnyTextRegistry(text)
    decoder = Decoder(registry, load_schema("product_created"), columns.PRODUCT)
    for _ in range(2):
        decoded = decoder.decode([b"\x00\x00\x00\x00\x09x"] * 2)
        assert all(reason in one.reason for one in decoded.rejected)
        assert len(decoded.rejected) == 2
    assert registry.asked == 1


def test_a_field_is_found_by_the_reader_s_alias_and_a_default_fills_a_gap(registry: InMemoryRegistry) -> None:
    reader = json.loads(load_schema("product_created"))
    reader["fields"][1] |= {"aliases": ["name"]}
    reader["fields"][3] |= {"type": "string", "default": "no brand"}
    text = json.dumps(reader)
    writer = json.dumps(
        {
            "type": "record",
            "name": "ProductCreated",
            "fields": [{"name": "name", "type": "string"}, {"name": "product_id", "type": "string"}],
        }
    )
    value = write_value(registry.register("w", writer), writer, {"name": "N", "product_id": "p"})
    decoded = Decoder(registry, text, columns.PRODUCT).decode([value] * 3)
    assert rows_of(decoded.batch) == [ABSENT | {"product_id": "p", "title": "N", "brand": "no brand"}] * 3


#: What a decision says of what was new to the model, where its writer said nothing.
UNKNOWN: Final = dict.fromkeys(("unseen_brand", "unseen_seller", "unfamiliar_text"))


def test_an_unknown_enum_symbol_becomes_the_reader_s_default(registry: InMemoryRegistry) -> None:
    text = load_schema("product_categorized")
    newer = text.replace('"review"], "default"', '"review", "escalated"], "default"')
    assert newer != text
    row = {
        "product_id": "p",
        "category_path": ["a"],
        "confidence": 1.0,
        "decision": "escalated",
        "alternatives": [],
        "model_name": "m",
        "model_version": "v",
        "feature_fingerprint": "f",
        "taxonomy_version": "t",
        "source": {"topic": "t", "partition": 1, "offset": 2},
        "categorized_at": 3,
    }
    value = write_value(registry.register("w", newer), newer, row)
    decoded = Decoder(registry, text, columns.PRODUCT_CATEGORIZED).decode([value] * 2)
    assert rows_of(decoded.batch) == [row | {"decision": "review"} | UNKNOWN] * 2


def test_an_int_that_is_none_is_rejected_and_not_cut_to_32_bits(registry: InMemoryRegistry) -> None:
    text = load_schema("product_categorized")
    wider = text.replace('{"name": "partition", "type": "int"}', '{"name": "partition", "type": "long"}')
    row = {
        "product_id": "p",
        "category_path": ["a"],
        "confidence": 1.0,
        "decision": "review",
        "alternatives": [],
        "model_name": "m",
        "model_version": "v",
        "feature_fingerprint": "f",
        "taxonomy_version": "t",
        "source": {"topic": "t", "partition": 2**33, "offset": 2},
        "categorized_at": 3,
    }
    schema_id = registry.register("w", text)
    value = write_value(schema_id, wider, row)  # an int of 34 bits: the bytes of a long
    decoder = Decoder(registry, text, columns.PRODUCT_CATEGORIZED)
    for values in ([value], [value] * 40):
        decoded = decoder.decode(values)
        assert len(decoded.rejected) == len(values)
        assert decoded.batch.num_rows == 0


def test_values_of_a_schema_outside_pyruhvro_s_reach_are_read_one_by_one(
    registry: InMemoryRegistry, product: Subject
) -> None:
    writer = record(("price", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}))
    schema_id = registry.register("w", writer)
    values = [
        write_value(schema_id, writer, {"product_id": str(number), "title": "t", "price": b"\x01\x02"})
        for number in range(20)
    ]
    values[4] = values[4][:-1]
    decoded = product.decoder.decode(values)
    assert decoded.rows.tolist() == [number for number in range(20) if number != 4]
    assert decoded.rejected[0].reason.endswith("field price: the datum ends inside a value of 2 bytes")
