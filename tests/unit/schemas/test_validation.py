from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import columns
from schemas.clean_columns import Spans
from schemas.validation import check_labels, check_products, shortened

GOOD: dict[str, Any] = {
    "product_id": "p1",
    "title": "Lamp",
    "description": "A lamp.",
    "brand": "Lux",
    "seller_id": "s1",
    "subcategory": "lights",
    "price_minor": 0,
    "currency": "EUR",
    "rating": 0.0,
    "reviews_count": 0,
    "created_at": -5,
}


def products(*rows: dict[str, Any]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(rows), schema=columns.PRODUCT)


def labelled(*paths: list[str]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(
        [GOOD | {"category_path": path} for path in paths], schema=columns.LABELLED_PRODUCT
    )


def reason_of(**changes: Any) -> str:
    """The reason that one product with these changes gets, among good ones; empty if it is valid."""
    row = GOOD | changes
    batch = products(GOOD, row, GOOD)
    found = check_products(batch, [b"p1", row["product_id"].encode(), b"p1"])
    assert all(one.row == 1 for one in found)
    return found[0].reason if found else ""


VALID = [
    {},
    {name: None for name in GOOD if name not in ("product_id", "title")},
    {"product_id": "x" * 256},
    {"product_id": "é" * 128},
    {"product_id": " "},
    {"title": "x" * 131_072},
    {"title": "\u200bא\u0301"},
    {"title": "\x00"},
    {"description": "x" * 524_288},
    {"description": ""},
    {"brand": "x" * 1024, "seller_id": "", "subcategory": " "},
    {"price_minor": 2**63 - 1, "reviews_count": 2**63 - 1},
    {"rating": 1.7e308},
    {"rating": -0.0},
    {"currency": "XXX"},
]


@pytest.mark.parametrize("changes", VALID, ids=lambda changes: ",".join(changes) or "as it is")
def test_a_product_at_the_limits_is_valid(changes: dict[str, Any]) -> None:
    assert reason_of(**changes) == ""


INVALID = [
    ({"product_id": ""}, "product_id is empty"),
    (
        {"product_id": "é" * 129},
        f"product_id has 258 bytes, at most 256 are allowed ({'é' * 40!r}…)",
    ),
    ({"title": ""}, "title is empty"),
    ({"title": " \t\n"}, "title is blank (' \\t\\n')"),
    ({"title": "\u3000\u2003\u00a0\u2028"}, "title is blank ('\\u3000\\u2003\\xa0\\u2028')"),
    ({"title": "x" * 131_073}, f"title has 131073 bytes, at most 131072 are allowed ('{'x' * 40}'…)"),
    (
        {"description": "x" * 524_289},
        f"description has 524289 bytes, at most 524288 are allowed ('{'x' * 40}'…)",
    ),
    ({"brand": "x" * 1025}, f"brand has 1025 bytes, at most 1024 are allowed ('{'x' * 40}'…)"),
    ({"seller_id": "x" * 1025}, f"seller_id has 1025 bytes, at most 1024 are allowed ('{'x' * 40}'…)"),
    ({"subcategory": "x" * 1025}, f"subcategory has 1025 bytes, at most 1024 are allowed ('{'x' * 40}'…)"),
    ({"price_minor": -1}, "price_minor is -1, expected 0 or more"),
    ({"reviews_count": -(2**63)}, "reviews_count is -9223372036854775808, expected 0 or more"),
    ({"rating": -0.5}, "rating is -0.5, expected a finite number, 0 or more"),
    ({"rating": math.nan}, "rating is nan, expected a finite number, 0 or more"),
    ({"rating": math.inf}, "rating is inf, expected a finite number, 0 or more"),
    ({"currency": ""}, "currency is '', expected three capital letters such as EUR (ISO 4217)"),
    ({"currency": "eur"}, "currency is 'eur', expected three capital letters such as EUR (ISO 4217)"),
    ({"currency": "EUR\n"}, "currency is 'EUR\\n', expected three capital letters such as EUR (ISO 4217)"),
    ({"currency": "ЕUR"}, "currency is 'ЕUR', expected three capital letters such as EUR (ISO 4217)"),
    (
        {"title": " ", "price_minor": -1, "currency": "euro"},
        "title is blank (' '); price_minor is -1, expected 0 or more; "
        "currency is 'euro', expected three capital letters such as EUR (ISO 4217)",
    ),
]


@pytest.mark.parametrize(("changes", "reason"), INVALID, ids=lambda case: ",".join(case)[:40])
def test_an_invalid_product_gets_every_reason_with_field_limit_and_value(
    changes: dict[str, Any], reason: str
) -> None:
    assert reason_of(**changes) == reason


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (None, "key is missing, expected the product_id 'p1'"),
        (b"", "key is '', expected the product_id 'p1'"),
        (b"p2", "key is 'p2', expected the product_id 'p1'"),
        (b"p1 ", "key is 'p1 ', expected the product_id 'p1'"),
        (b"\xff\x00", "key is b'\\xff\\x00', expected the product_id 'p1'"),
    ],
)
def test_a_key_that_is_not_the_product_id_is_a_fault(key: bytes | None, reason: str) -> None:
    (found,) = check_products(products(GOOD, GOOD), [b"p1", key])
    assert (found.row, found.reason) == (1, reason)


def test_faults_come_in_the_order_of_the_rows() -> None:
    batch = products(GOOD | {"price_minor": -1}, GOOD, GOOD | {"title": ""}, GOOD | {"currency": "?"})
    assert [one.row for one in check_products(batch, [b"p1", b"no", b"p1", b"p1"])] == [0, 1, 2, 3]


def test_an_empty_batch_has_no_faults() -> None:
    assert check_products(products(), []) == ()
    assert check_labels(labelled()) == ()


def test_keys_of_another_length_are_a_fault_of_the_caller() -> None:
    with pytest.raises(ValueError, match="1 keys for 2 rows"):
        check_products(products(GOOD, GOOD), [b"p1"])


def test_a_slice_is_checked_as_the_rows_that_it_shows() -> None:
    batch = products(GOOD | {"title": ""}, GOOD, GOOD | {"brand": "x" * 2000}, GOOD | {"price_minor": -1})
    assert check_products(batch.slice(1, 1), [b"p1"]) == ()
    (found,) = check_products(batch.slice(1, 2), [b"p1", b"p1"])
    assert found.row == 1
    assert found.reason.startswith("brand has 2000 bytes")
    paths = labelled([], ["a"], ["b", ""], [" "])
    assert check_labels(paths.slice(1, 1)) == ()
    assert [one.row for one in check_labels(paths.slice(1, 3))] == [1, 2]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ([], "category_path is empty, expected at least one level"),
        (["a", ""], "category_path has a blank level (['a', ''])"),
        (["\u3000", "a"], "category_path has a blank level (['\\u3000', 'a'])"),
        (["a" * 1025], f"category_path has a level of 1025 bytes, at most 1024 are allowed ('{'a' * 40}'…)"),
    ],
)
def test_a_path_without_a_name_on_every_level_is_no_label(path: list[str], reason: str) -> None:
    (found,) = check_labels(labelled(["a"], path, ["b", "c"]))
    assert (found.row, found.reason) == (1, reason)


def test_a_label_s_faults_are_joined() -> None:
    (found,) = check_labels(labelled(["", " "]))
    assert found.reason.count("blank level") == 2
    assert "; " in found.reason


row_values = st.fixed_dictionaries(
    {
        "product_id": st.text(max_size=3),
        "title": st.text(" \u3000ab", max_size=3),
        "description": st.none(),
        "brand": st.none() | st.sampled_from(["b", "x" * 1025]),
        "seller_id": st.none(),
        "subcategory": st.none(),
        "price_minor": st.none() | st.integers(-1, 1),
        "currency": st.none() | st.sampled_from(["EUR", "euro", ""]),
        "rating": st.none() | st.floats(),
        "reviews_count": st.none() | st.integers(-1, 1),
        "created_at": st.none(),
    }
)


@settings(max_examples=30)
@given(st.lists(st.tuples(row_values, st.none() | st.binary(max_size=2)), max_size=8))
def test_a_batch_is_checked_as_its_rows_are_alone(cases: list[tuple[dict[str, Any], bytes | None]]) -> None:
    together = check_products(products(*(row for row, _ in cases)), [key for _, key in cases])
    alone = [
        (number, one.reason)
        for number, (row, key) in enumerate(cases)
        for one in check_products(products(row), [key])
    ]
    assert [(one.row, one.reason) for one in together] == alone


def test_a_long_value_is_cut_for_the_sentence() -> None:
    assert shortened("x" * 41) == f"'{'x' * 40}'…"
    assert shortened("x" * 40) == f"'{'x' * 40}'"


def spans(keys: list[bytes | None]) -> Spans:
    sizes = [-1 if key is None else len(key) for key in keys]
    starts = np.cumsum([3, *(max(size, 0) for size in sizes)])[:-1]
    content = np.frombuffer(b"..." + b"".join(key or b"" for key in keys), np.uint8)
    return Spans(content, starts.astype(np.int64), np.array(sizes, np.int32))


def test_keys_where_they_lie_are_judged_as_those_in_a_list() -> None:
    batch = products(*(GOOD | {"product_id": f"p{number}"} for number in range(5)))
    good: list[bytes | None] = [b"p0", b"p1", b"p2", b"p3", b"p4"]
    bad: list[list[bytes | None]] = [[b"p0", None, b"p2", b"", b"\xff"], [None] * 5]
    for keys in (good, *bad):
        expected = check_products(batch, keys)
        assert check_products(batch, spans(keys)) == expected
        assert bool(expected) is (keys is not good)
    assert check_products(batch.slice(1, 3), spans(good[1:4])) == ()
    with pytest.raises(ValueError, match="3 keys for 5 rows"):
        check_products(batch, spans(good[1:4]))
