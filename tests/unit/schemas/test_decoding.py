from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from schemas import columns
from schemas.avro_files import load_schema
from schemas.decoding import Decoder
from schemas.errors import DependencyUnavailableError
from schemas.framed import FramedValues
from schemas.registry import InMemoryRegistry
from schemas.wire import SchemaId
from tests.unit.schemas.avro_oracle import write_value
from tests.unit.schemas.batches import rows_of
from tests.unit.schemas.conftest import Subject

ABSENT = dict.fromkeys(columns.PRODUCT.names)


def product_row(number: int, **changes: Any) -> dict[str, Any]:
    return ABSENT | {"product_id": f"p{number}", "title": f"Lamp {number}", "price_minor": number} | changes


def values_of(product: Subject, count: int) -> list[bytes]:
    return [write_value(product.schema_id, product.text, product_row(number)) for number in range(count)]


def test_values_become_rows_in_their_order_with_exactly_our_columns(product: Subject) -> None:
    decoded = product.decoder.decode(values_of(product, 300))
    assert decoded.batch.schema.equals(columns.PRODUCT, check_metadata=True)
    assert rows_of(decoded.batch) == [product_row(number) for number in range(300)]
    assert decoded.rows.tolist() == list(range(300))
    assert decoded.rejected == ()
    assert decoded.schema_ids == {product.schema_id}


def test_no_values_become_an_empty_batch(product: Subject) -> None:
    decoded = product.decoder.decode([])
    assert decoded.batch.num_rows == decoded.rows.size == 0
    assert decoded.batch.schema.equals(columns.PRODUCT)
    assert decoded.rejected == ()
    assert decoded.schema_ids == frozenset()


def test_every_field_at_its_limits_survives(product: Subject) -> None:
    row = {
        "product_id": "p",
        "title": "",
        "description": "\x00 \U0001f6cb️ שלום \u202e ก็",
        "brand": "x" * 100_000,
        "seller_id": "",
        "subcategory": None,
        "price_minor": -(2**63),
        "currency": "EUR",
        "rating": float("inf"),
        "reviews_count": 2**63 - 1,
        "created_at": 2**63 - 1,
    }
    decoded = product.decoder.decode([write_value(product.schema_id, product.text, row)])
    assert rows_of(decoded.batch) == [row]


#: What breaks a value, by the reason that it then gets.
BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "first byte is 0x7b": lambda value: b'{"product_id": 1}',
    "value is empty": lambda value: b"",
    "schema id 999 is not known to the registry": lambda value: b"\x00\x00\x00\x03\xe7" + value[5:],
    "with schema id 1: field created_at: the datum ends inside a number": lambda value: value[:-1],
    "with schema id 1: 1 byte left over after the datum": lambda value: value + b"\x00",
    "with schema id 1: 3 bytes left over after the datum": lambda value: value + b"abc",
    "with schema id 1: 16 bytes left over after the datum": lambda value: value + b"abcdefgh" * 2,
    "field title: not UTF-8 at byte 1 of the text": lambda value: value.replace(b"Lamp", b"L\xffmp"),
    "field description: union branch -1, but there are 2": lambda value: value.replace(
        b"\x00\x00\x00\x00\x02", b"\x01\x00\x00\x00\x02"
    ),
}


@pytest.mark.parametrize("reason", BROKEN)
@pytest.mark.parametrize("count", [1, 2, 100])
def test_a_broken_value_in_the_middle_is_rejected_alone(product: Subject, reason: str, count: int) -> None:
    values = values_of(product, count)
    broken = count // 2
    values[broken] = BROKEN[reason](values[broken])
    decoded = product.decoder.decode(values)
    assert [(one.row, reason in one.reason) for one in decoded.rejected] == [(broken, True)], decoded.rejected
    others = [number for number in range(count) if number != broken]
    assert decoded.rows.tolist() == others
    assert rows_of(decoded.batch) == [product_row(number) for number in others]


def test_many_broken_values_are_found_each_with_its_own_reason(product: Subject) -> None:
    values = values_of(product, 90)
    breaks = list(BROKEN.values())
    for number in range(0, 90, 3):
        values[number] = breaks[number // 3 % len(breaks)](values[number])
    decoded = product.decoder.decode(values)
    reasons = list(BROKEN)
    assert [one.row for one in decoded.rejected] == list(range(0, 90, 3))
    for one in decoded.rejected:
        assert reasons[one.row // 3 % len(breaks)] in one.reason
    assert rows_of(decoded.batch) == [product_row(number) for number in range(90) if number % 3]


def test_only_broken_values_give_an_empty_batch_and_no_schema_id(product: Subject) -> None:
    decoded = product.decoder.decode([value[:-1] for value in values_of(product, 40)])
    assert decoded.batch.num_rows == 0
    assert decoded.batch.schema.equals(columns.PRODUCT)
    assert len(decoded.rejected) == 40
    assert decoded.schema_ids == frozenset()


def test_a_number_in_a_longer_encoding_than_needed_is_a_number(product: Subject) -> None:
    (value,) = values_of(product, 1)
    assert value.startswith(b"\x00\x00\x00\x00\x01\x04p0")
    decoded = product.decoder.decode([b"\x00\x00\x00\x00\x01\x84\x80\x00p0" + value[8:]])
    assert rows_of(decoded.batch) == [product_row(0)]


def test_an_array_written_in_blocks_with_sizes_is_an_array(subject: Callable[[str], Subject]) -> None:
    labelled = subject("labelled_product")
    row = product_row(1) | {"category_path": ["a", "b"]}
    value = write_value(labelled.schema_id, labelled.text, row)
    assert value.endswith(b"\x04\x02a\x02b\x00")
    in_blocks = value[:-6] + b"\x01\x04\x02a" + b"\x01\x04\x02b\x00"
    decoded = labelled.decoder.decode([value, in_blocks, value])
    assert rows_of(decoded.batch) == [row] * 3


class SilentRegistry(InMemoryRegistry):
    """Knows what was registered, but does not answer."""

    def schema_by_id(self, schema_id: SchemaId) -> str:
        raise DependencyUnavailableError("the registry does not answer")


def test_a_silent_registry_is_no_reason_to_reject_a_record() -> None:
    registry = SilentRegistry()
    text = load_schema("product_created")
    schema_id = registry.register("s", text)
    decoder = Decoder(registry, text, columns.PRODUCT)
    with pytest.raises(DependencyUnavailableError):
        decoder.decode([write_value(schema_id, text, product_row(1))])


def test_an_id_that_becomes_known_is_asked_for_again(registry: InMemoryRegistry, product: Subject) -> None:
    newer = product.text.replace("a product", "any product").replace("A product", "Any product")
    value = write_value(2, newer, product_row(1))
    assert "not known" in product.decoder.decode([value]).rejected[0].reason
    assert registry.register("other", newer) == 2
    assert product.decoder.decode([value]).rejected == ()


def test_columns_that_are_not_the_schema_s_are_refused(registry: InMemoryRegistry) -> None:
    with pytest.raises(ValueError, match="are not the fields"):
        Decoder(registry, load_schema("product_created"), columns.DECISION)


def test_a_batch_of_values_is_as_many_batches_of_one(product: Subject) -> None:
    values = values_of(product, 30)
    breaks = list(BROKEN.values())
    values[3::3] = [breaks[number % len(breaks)](value) for number, value in enumerate(values[3::3])]
    together = product.decoder.decode(values)
    alone = [product.decoder.decode([value]) for value in values]
    assert together.batch.equals(
        pa.Table.from_batches([one.batch for one in alone]).combine_chunks().to_batches()[0]
    )
    assert [one.reason for one in together.rejected] == [one.rejected[0].reason for one in alone if one.rejected]


def test_values_that_are_laid_out_are_decoded_as_the_list_of_them(product: Subject) -> None:
    values = values_of(product, 60)
    breaks = list(BROKEN.values())
    values[10:40] = [breaks[number % len(breaks)](value) for number, value in enumerate(values[10:40])]
    laid_out = FramedValues.of([b"before", *values, b"behind"])
    for start, stop in ((0, 60), (0, 10), (5, 45), (40, 60), (12, 13), (0, 0)):
        expected = product.decoder.decode(values[start:stop])
        found = product.decoder.decode(laid_out.take(slice(1 + start, 1 + stop)))
        assert found.batch.equals(expected.batch)
        assert found.rows.tolist() == expected.rows.tolist()
        assert found.rejected == expected.rejected
        assert found.schema_ids == expected.schema_ids
