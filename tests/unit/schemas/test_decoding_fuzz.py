"""The decoder against the oracle: on generated rows, mutated values and plain noise, alone and together."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import columns
from schemas.avro_files import load_examples, load_schema
from schemas.decoding import Decoder
from schemas.encoding import Encoder
from schemas.registry import InMemoryRegistry
from tests.unit.schemas.avro_oracle import read_value, write_value
from tests.unit.schemas.batches import comparable, rows_of
from tests.unit.schemas.conftest import COLUMNS, Subject
from tests.unit.schemas.test_writers import NEW_ROW, NEWER, OLD_ROW, OLDER

text = st.text(max_size=12)
longs = st.integers(-(2**63), 2**63 - 1)
product_rows = st.fixed_dictionaries(
    {
        "product_id": text,
        "title": text,
        "description": st.none() | text,
        "brand": st.none() | text,
        "seller_id": st.none() | text,
        "subcategory": st.none() | text,
        "price_minor": st.none() | longs,
        "currency": st.none() | text,
        "rating": st.none() | st.floats(),
        "reviews_count": st.none() | longs,
        "created_at": st.none() | longs,
    }
)


@settings(max_examples=40)
@given(st.lists(product_rows, max_size=12))
def test_rows_come_back_as_they_went_and_as_fastavro_writes_them(rows: list[dict[str, Any]]) -> None:
    registry = InMemoryRegistry()
    schema = load_schema("product_created")
    schema_id = registry.register("s", schema)
    batch = pa.RecordBatch.from_pylist(rows, schema=columns.PRODUCT)
    values = Encoder(schema, schema_id).encode(batch)
    assert values == [write_value(schema_id, schema, row) for row in rows]
    decoded = Decoder(registry, schema, columns.PRODUCT).decode(values)
    assert decoded.rejected == ()
    assert rows_of(decoded.batch) == [comparable(row) for row in rows]
    assert decoded.batch.schema.equals(columns.PRODUCT)


def mutated(value: bytes, chance: random.Random) -> bytes:
    """A value with one thing changed that a bad disk, a bad producer or a bad person may change."""
    at = chance.randrange(5, len(value) + 1)
    match chance.randrange(7):
        case 0:
            return value[:at]
        case 1:
            return value + chance.randbytes(chance.randrange(1, 20))
        case 2:
            return value[:at] + chance.randbytes(1) + value[at + 1 :]
        case 3:
            return value[:at] + chance.randbytes(chance.randrange(1, 4)) + value[at:]
        case 4:
            return value[:at] + value[at + chance.randrange(1, 4) :]
        case 5:
            bit = 1 << chance.randrange(8)
            return value[: at - 1] + bytes([value[at - 1] ^ bit]) + value[at:]
        case _:
            other = chance.randrange(5, len(value) + 1)
            return value[:at] + value[other:]


def agrees_with_the_oracle(decoder: Decoder, values: list[bytes], writers: Mapping[int, str], reader: str) -> int:
    """Check each value together and (some of them) alone; return how many were accepted."""
    decoded = decoder.decode(values)
    assert decoded.batch.schema.equals(decoder.decode([]).batch.schema)
    decoded.batch.validate(full=True)
    found = dict(zip(decoded.rows.tolist(), rows_of(decoded.batch), strict=True))
    reasons = {one.row: one.reason for one in decoded.rejected}
    assert list(found) == sorted(found)
    assert list(reasons) == sorted(reasons)
    assert sorted([*found, *reasons]) == list(range(len(values)))
    for row, value in enumerate(values):
        expected = read_value(value, writers, reader)
        if expected is None:
            assert reasons.get(row), (row, value, found.get(row))
        else:
            assert found.get(row) == comparable(expected), (row, value, reasons.get(row))
    for row in range(0, len(values), 17):
        alone = decoder.decode([values[row]])
        assert rows_of(alone.batch) == ([found[row]] if row in found else [])
        assert [one.reason for one in alone.rejected] == ([reasons[row]] if row in reasons else [])
    return len(found)


@pytest.mark.parametrize("stem", COLUMNS)
@pytest.mark.parametrize("seed", range(3))
def test_mutated_values_are_judged_as_the_oracle_judges_them(
    subject: Callable[[str], Subject], stem: str, seed: int
) -> None:
    chance = random.Random(f"{stem} {seed}")
    our = subject(stem)
    good = our.encoder.encode(our.batch(load_examples(stem)))
    values = [
        mutated(chance.choice(good), chance) if chance.random() < 0.6 else chance.choice(good) for _ in range(300)
    ]
    accepted = agrees_with_the_oracle(our.decoder, values, {our.schema_id: our.text}, our.text)
    assert 100 < accepted < 280  # it is no test if one of the two never happens


@pytest.mark.parametrize("share", [0.01, 1.0])
def test_mutated_values_of_several_writers_are_judged_as_the_oracle_judges_them(
    registry: InMemoryRegistry, product: Subject, share: float
) -> None:
    chance = random.Random(f"writers {share}")
    writers: dict[int, str] = {
        product.schema_id: product.text,
        registry.register("old", OLDER): OLDER,
        registry.register("new", NEWER): NEWER,
    }
    good = [
        *product.encoder.encode(product.batch(load_examples("product_created"))),
        *[write_value(2, OLDER, OLD_ROW | {"product_id": str(number)}) for number in range(5)],
        *[write_value(3, NEWER, NEW_ROW | {"product_id": str(number)}) for number in range(5)],
    ]
    picks = [chance.choice(good) for _ in range(300)]
    values = [mutated(value, chance) if chance.random() < share else value for value in picks]
    agrees_with_the_oracle(product.decoder, values, writers, product.text)


def test_noise_is_judged_as_the_oracle_judges_it(product: Subject) -> None:
    chance = random.Random("noise")
    starts = [b"", b"\x00", b"\x00\x00\x00\x00\x01", b"\x00\x00\x00\x00\x01\x02a\x02b", b"\x00\xff\xff\xff\xff"]
    values = [chance.choice(starts) + chance.randbytes(chance.randrange(30)) for _ in range(400)]
    agrees_with_the_oracle(product.decoder, values, {product.schema_id: product.text}, product.text)


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=24), max_size=4))
def test_no_bytes_after_a_header_break_the_decoder(tails: list[bytes]) -> None:
    registry = InMemoryRegistry()
    schema = load_schema("product_created")
    schema_id = registry.register("s", schema)
    decoder = Decoder(registry, schema, columns.PRODUCT)
    values = [b"\x00\x00\x00\x00\x01" + tail for tail in tails]
    agrees_with_the_oracle(decoder, values, {schema_id: schema}, schema)
