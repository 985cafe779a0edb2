"""JSON to columns: nothing is lost, and what Avro yields is what JSON yields."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.bodies import read_product, read_products
from gateway.checking import Refused
from gateway.problems import ProblemError
from gateway.products import to_columns
from schemas.columns import PRODUCT
from tests.unit.gateway.conftest import product
from tests.unit.gateway.the_stream import Stream
from tests.unit.streams.conftest import TitleClassifier

_TEXT = st.text(max_size=12)
_LONG = st.integers(-(2**63), 2**63 - 1)
_OPTIONAL = {
    "description": _TEXT,
    "brand": _TEXT,
    "seller_id": _TEXT,
    "subcategory": _TEXT,
    "price_minor": _LONG,
    "currency": _TEXT,
    "rating": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70).map(float),
    "reviews_count": _LONG,
    "created_at": st.integers(
        -62_135_596_800_000, 10**14
    ),  # from the year 1: Python, which compares, has none before
}
_PRODUCTS = st.lists(
    st.fixed_dictionaries(
        {"product_id": _TEXT, "title": _TEXT},
        optional={name: st.none() | values for name, values in _OPTIONAL.items()},
    ),
    min_size=1,
    max_size=5,
)


def columns_of(*rows: dict[str, Any], ascii_only: bool = False) -> pa.RecordBatch:
    found = read_products(json.dumps({"products": rows}, ensure_ascii=ascii_only).encode(), len(rows))
    return to_columns([one for one in found if not isinstance(one, Refused)])


def bits(batch: pa.RecordBatch) -> list[Any]:
    """Return the columns, doubles as their bits: 0.0 and -0.0 are told apart."""
    return [
        column.view(pa.int64()).to_pylist() if column.type == pa.float64() else column.to_pylist()
        for column in batch.columns
    ]


@given(rows=_PRODUCTS, ascii_only=st.booleans())
@settings(max_examples=150, deadline=None)
def test_json_yields_the_columns_that_avro_yields(rows: list[dict[str, Any]], ascii_only: bool) -> None:
    from_avro = Stream(TitleClassifier()).decoded(pa.RecordBatch.from_pylist(rows, PRODUCT))
    from_json = columns_of(*rows, ascii_only=ascii_only)
    assert from_json.schema == from_avro.schema
    assert bits(from_json) == bits(from_avro)
    from_json.validate(full=True)


@pytest.mark.parametrize(
    "spelling",
    ["4", "4.0", "0.1", "1e-320", "5e-324", "1.7976931348623157e308", "12345678901234567890123", "-0.0"],
)
def test_a_number_is_the_double_that_python_reads(spelling: str) -> None:
    body = f'{{"product_id": "1", "title": "t", "rating": {spelling}}}'.encode()
    (value,) = to_columns([read_product(body)])["rating"].to_pylist()
    assert value == float(spelling)
    assert math.copysign(1, value) == math.copysign(1, float(spelling))


def test_a_time_may_be_rfc_3339_or_milliseconds_and_a_part_of_a_millisecond_is_cut_off() -> None:
    moment = datetime(2026, 1, 31, 12, 0, 0, 123_999, tzinfo=UTC)
    spellings: list[object] = [
        "2026-01-31T12:00:00.123999Z",
        "2026-01-31T13:00:00.123+01:00",
        moment.astimezone(timezone(timedelta(hours=-5))).isoformat(),
        1_769_860_800_123,
    ]
    times = columns_of(*(product(created_at=one) for one in spellings))["created_at"].to_pylist()
    assert times == [datetime(2026, 1, 31, 12, 0, 0, 123_000, tzinfo=UTC)] * 4
    before = columns_of(product(created_at="1969-12-31T23:59:59.9999Z"))["created_at"].cast(pa.int64())
    assert before.to_pylist() == [-1], "cut off, not rounded: the same on both sides of 1970"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"titel": "x"}, "'titel' is no field of a product, did you mean title?"),
        ({"xyz": 1}, "'xyz' is no field of a product"),
        ({"title": None}, "title is null, expected a valid string"),
        ({"title": 7}, "title is 7, expected a valid string"),
        ({"brand": ["Acme"]}, "brand is an array, expected a valid string"),
        ({"price_minor": "12"}, "price_minor is '12', expected a valid integer"),
        ({"price_minor": 1.5}, "price_minor is 1.5, expected a valid integer"),
        ({"price_minor": True}, "price_minor is true, expected a valid integer"),
        (
            {"price_minor": 2**63},
            "price_minor is 9223372036854775808, expected less than",
        ),
        ({"rating": "good"}, "rating is 'good', expected a valid number"),
        ({"created_at": "2026-01-31"}, "created_at is '2026-01-31', expected a time with a zone such as"),
        (
            {"created_at": "2026-01-31T12:00:00"},
            "created_at is '2026-01-31T12:00:00', expected",
        ),
        ({"created_at": 1.5}, "created_at is 1.5, expected a time"),
    ],
)
def test_a_malformed_field_is_told_in_a_sentence_with_its_place(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ProblemError) as caught:
        read_product(json.dumps(product(**fields)).encode())
    problem = caught.value.problem
    assert str(problem["detail"]).startswith(sentence)
    assert problem["status"] == 422
    assert [one["pointer"] for one in problem["errors"]] == [f"/{next(iter(fields))}"]
