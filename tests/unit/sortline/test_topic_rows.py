from __future__ import annotations

import json

import pyarrow as pa
import pytest

from schemas.avro_files import load_schema
from schemas.columns import PRODUCT
from schemas.encoding import Encoder
from schemas.errors import SetupError
from schemas.registry import InMemoryRegistry
from schemas.topics import TopicNames
from sortline.tail import find_contract
from sortline.topic_reader import TopicRecord
from sortline.topic_rows import COLUMNS, RowDecoder, cells, json_line, price_text

NAMES = TopicNames()


def _record(
    value: bytes | None,
    *,
    topic: str = NAMES.created,
    key: bytes | None = b"p-1",
    offset: int = 0,
    headers: tuple[tuple[str, bytes | None], ...] = (),
) -> TopicRecord:
    return TopicRecord(
        topic=topic,
        partition=2,
        offset=offset,
        timestamp_ms=1_700_000_000_000,
        key=key,
        value=value,
        headers=headers,
    )


@pytest.fixture
def registry() -> InMemoryRegistry:
    return InMemoryRegistry()


@pytest.fixture
def product(registry: InMemoryRegistry) -> bytes:
    schema = load_schema("product_created")
    encoder = Encoder(schema, registry.register("products.created-value", schema))
    row = {"product_id": "p-1", "title": "Lámpa", "price_minor": 129_990, "currency": "HUF"}
    (value,) = encoder.encode(pa.RecordBatch.from_pylist([row], schema=PRODUCT))
    return value


def test_rows_come_in_the_order_of_the_records_whatever_became_of_them(
    registry: InMemoryRegistry, product: bytes
) -> None:
    decoder = RowDecoder(find_contract("created", NAMES), registry)
    records = [_record(b"{}"), _record(product), _record(None), _record(product, offset=7)]
    rows = decoder.decode(records)
    assert [row.record for row in rows] == records
    assert rows[0].problem is not None
    assert "not Confluent wire format" in rows[0].problem
    assert rows[1].value is not None
    assert rows[1].value["title"] == "Lámpa"
    assert (rows[2].value, rows[2].problem) == (None, None)
    assert rows[3].value == rows[1].value


def test_no_records_are_no_rows(registry: InMemoryRegistry) -> None:
    assert RowDecoder(find_contract("created", NAMES), registry).decode([]) == []


def test_every_row_fills_the_columns_of_its_topic(registry: InMemoryRegistry, product: bytes) -> None:
    contract = find_contract("created", NAMES)
    for row in RowDecoder(contract, registry).decode([_record(b"{}"), _record(product), _record(None)]):
        assert len(cells(row, contract.schema)) == len(COLUMNS[contract.schema])


@pytest.mark.parametrize("schema", list(COLUMNS))
def test_a_table_fits_a_terminal_of_a_hundred_columns(schema: str | None) -> None:
    assert sum(column.width + 2 for column in COLUMNS[schema]) - 2 <= 100


def test_a_dead_letter_shows_where_it_came_from_and_the_last_reason(registry: InMemoryRegistry) -> None:
    letter = _record(
        b"\xff",
        topic=NAMES.dead_letters,
        key=b"\xffkey",
        headers=(
            ("__connect.errors.exception.message", b"the first reason"),
            ("__connect.errors.topic", b"products.created"),
            ("__connect.errors.partition", b"4"),
            ("__connect.errors.offset", b"17"),
            ("__connect.errors.exception.message", b"title is blank"),
        ),
    )
    (row,) = RowDecoder(find_contract("dlq", NAMES), registry).decode([letter])
    assert cells(row, None) == ("products.created/4/17", "\N{REPLACEMENT CHARACTER}key", "title is blank")
    line = json.loads(json_line(row))
    assert line["problem"] == "title is blank"
    assert line["value_base64"] == "/w=="


def test_a_line_of_json_holds_the_whole_event(registry: InMemoryRegistry, product: bytes) -> None:
    (row,) = RowDecoder(find_contract("created", NAMES), registry).decode(
        [_record(product, headers=(("ce_id", b"abc"), ("empty", None)))]
    )
    line = json.loads(json_line(row))
    assert (line["topic"], line["partition"], line["offset"], line["key"]) == ("products.created", 2, 0, "p-1")
    assert line["headers"] == {"ce_id": "abc", "empty": ""}
    assert line["value"]["price_minor"] == 129_990
    assert "problem" not in line


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (129_990, "EUR", "1,299.90 EUR"),
        (1_500, "JPY", "1,500 JPY"),
        (1_234, "KWD", "1.234 KWD"),
        (None, "EUR", ""),
    ],
)
def test_a_price_is_shown_in_major_units(minor: int | None, currency: str, text: str) -> None:
    assert price_text({"price_minor": minor, "currency": currency}) == text


def test_a_topic_is_found_by_its_role_and_by_its_name() -> None:
    names = TopicNames.with_prefix("staging.")
    assert find_contract("review", names).topic == "staging.products.review"
    assert find_contract("staging.products.review", names).topic == "staging.products.review"
    with pytest.raises(SetupError, match=r"there is no products\.review; the topics are created \(staging\."):
        find_contract("products.review", names)
