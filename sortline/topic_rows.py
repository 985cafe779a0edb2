"""Turns the records of a topic into rows that a person, or `jq`, can read."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from schemas.avro_files import load_schema
from schemas.columns import LABELLED_PRODUCT, PRODUCT, PRODUCT_CATEGORIZED
from schemas.currencies import minor_unit_digits
from schemas.decoding import Decoder
from schemas.registry import SchemaRegistry
from schemas.topics import TopicContract
from sortline.console import Column
from sortline.topic_reader import TopicRecord
from streams.dialects import Failure, read_failure

_COLUMNS_OF_SCHEMA: Final = {
    "product_created": PRODUCT,
    "labelled_product": LABELLED_PRODUCT,
    "product_categorized": PRODUCT_CATEGORIZED,
}
#: The columns shown for each schema; None is a topic whose values are kept byte for byte. 98 cells wide at most.
COLUMNS: Final[Mapping[str | None, tuple[Column, ...]]] = {
    "product_created": (
        Column(name="product", width=20),
        Column(name="title", width=44),
        Column(name="shop's category", width=16),
        Column(name="price", width=12, justify="right"),
    ),
    "labelled_product": (
        Column(name="product", width=20),
        Column(name="title", width=40),
        Column(name="category", width=34),
    ),
    "product_categorized": (
        Column(name="product", width=20),
        Column(name="category", width=36),
        Column(name="confidence", width=10, justify="right"),
        Column(name="decision", width=10),
        Column(name="new", width=10),
    ),
    None: (
        Column(name="came from", width=30),
        Column(name="key", width=20),
        Column(name="reason", width=44),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicRow:
    """A record and what it says: `value` None with `problem` None is a tombstone."""

    record: TopicRecord
    value: Mapping[str, Any] | None
    problem: str | None

    @property
    def key(self) -> str:
        """The record key as text; bytes that are not UTF-8 become �."""
        return (self.record.key or b"").decode("utf-8", "replace")

    @property
    def came_from(self) -> str:
        """Where a dead letter was read first, `topic/partition/offset`; `?` for what it does not tell."""
        return _failure(self.record).place

    def header(self, name: str) -> str | None:
        """Return the last header of that name as text."""
        return header_text(self.record, name)


class RowDecoder:
    """Decodes the records of one topic by its contract."""

    def __init__(self, contract: TopicContract, registry: SchemaRegistry) -> None:
        self.schema = contract.schema
        self._decoder = (
            None
            if contract.schema is None
            else Decoder(registry, load_schema(contract.schema), _COLUMNS_OF_SCHEMA[contract.schema])
        )

    def decode(self, records: Sequence[TopicRecord]) -> list[TopicRow]:
        """Return one row a record, in the order given; what cannot be read says why instead of failing."""
        values: dict[int, Mapping[str, Any]] = {}
        problems: dict[int, str] = {}
        if self._decoder is None:
            return [
                TopicRow(record=record, value=None, problem=_failure(record).reason or "no reason given")
                for record in records
            ]
        filled = [at for at, record in enumerate(records) if record.value is not None]
        decoded = self._decoder.decode([value for record in records if (value := record.value) is not None])
        for row, product in zip(decoded.rows.tolist(), decoded.batch.to_pylist(), strict=True):
            values[filled[row]] = product
        for rejected in decoded.rejected:
            problems[filled[rejected.row]] = rejected.reason
        return [
            TopicRow(record=record, value=values.get(at), problem=problems.get(at))
            for at, record in enumerate(records)
        ]


def header_text(record: TopicRecord, name: str) -> str | None:
    """Return the last header of that name as text, which is the one that counts, or None."""
    values = [value for header, value in record.headers if header == name and value is not None]
    return values[-1].decode("utf-8", "replace") if values else None


def cells(row: TopicRow, schema: str | None) -> tuple[str, ...]:
    """Return what the row's columns (`COLUMNS[schema]`) hold."""
    if schema is None:
        return (row.came_from, row.key, row.problem or "")
    missing = ("",) * (len(COLUMNS[schema]) - 2)
    if row.problem is not None:
        return (row.key, f"unreadable: {row.problem}", *missing)
    if row.value is None:
        return (row.key, "withdrawn (tombstone)", *missing)
    value = row.value
    if schema == "product_created":
        return (value["product_id"], value["title"], value["subcategory"] or "", price_text(value))
    if schema == "labelled_product":
        return (value["product_id"], value["title"], path_text(value["category_path"]))
    return (
        value["product_id"],
        path_text(value["category_path"]),
        f"{value['confidence']:.3f}",
        value["decision"],
        new_text(value),
    )


def json_line(row: TopicRow) -> str:
    """Return the row as one line of JSON.

    Fields topic, partition, offset, timestamp_ms, key, headers and value (null for a tombstone); a record that
    cannot be read, or was dead-lettered, has `problem` and its bytes as `value_base64` instead.
    """
    record = row.record
    line: dict[str, object] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp_ms": record.timestamp_ms,
        "key": row.key,
        "headers": {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers},
        "value": row.value,
    }
    if row.problem is not None:
        line["problem"] = row.problem
        line["value_base64"] = base64.b64encode(record.value or b"").decode()
    return json.dumps(line, ensure_ascii=False, default=_json_value)


def path_text(path: Sequence[str]) -> str:
    """Return a category path as people write it.

    >>> path_text(["Core", "memory"])
    'Core > memory'
    """
    return " > ".join(path)


def new_text(decision: Mapping[str, Any]) -> str:
    """Return what of the product was new to the model: `b`rand, `s`eller, and the share of its text from 1 % up.

    >>> new_text({"unseen_brand": True, "unseen_seller": False, "unfamiliar_text": 0.4375})
    'b 44 %'
    >>> new_text({"unseen_brand": None, "unseen_seller": None, "unfamiliar_text": None})
    ''
    """
    share = round(100 * (decision["unfamiliar_text"] or 0))
    parts = ("b" if decision["unseen_brand"] else "", "s" if decision["unseen_seller"] else "")
    return " ".join(filter(None, (*parts, f"{share} %" if share else "")))


def price_text(product: Mapping[str, Any]) -> str:
    """Return the price in major units with its currency, or nothing where the product has none.

    >>> price_text({"price_minor": 129990, "currency": "EUR"})
    '1,299.90 EUR'
    """
    minor, currency = product["price_minor"], product["currency"]
    if minor is None:
        return ""
    digits = minor_unit_digits(currency or "")
    return f"{minor / 10**digits:,.{digits}f} {currency or ''}".rstrip()


def _failure(record: TopicRecord) -> Failure:
    found = read_failure(record.headers)
    return Failure() if found is None else found[1]


def _json_value(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds")
    raise TypeError(f"{type(value).__name__} has no form in JSON")
