from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import columns
from schemas.errors import InputFileError
from schemas.product_files import fold_title, read_products
from schemas.product_values import price_minor

Writer = Callable[[Path, list[dict[str, Any]]], Path]


def write_csv(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "file.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def write_jsonl(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "file.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def write_parquet(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "file.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def write_pandas_parquet(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "file.parquet"
    pd.DataFrame(rows).to_parquet(path)
    return path


every_format = pytest.mark.parametrize("write", [write_csv, write_jsonl, write_parquet, write_pandas_parquet])

ROWS: list[dict[str, Any]] = [
    {
        "product_id": "0012",
        "title": 'Lamp, "old"\nred',
        "price": 12.34,
        "currency": "EUR",
        "category": "Home > Light",
    },
    {"product_id": "b", "title": "ตู้เย็น 5 คิว", "price": None, "currency": None, "category": "Home"},
    {"product_id": "c", "title": "Kühlschrank", "price": 1500.0, "currency": "JPY", "category": "Home > Cold"},
]


def refusal(path: Path, *, labelled: bool = False) -> str:
    with pytest.raises(InputFileError) as raised:
        read_products(path, labelled=labelled)
    sentence = str(raised.value)
    assert "\n" not in sentence
    return sentence


@every_format
def test_each_format_gives_the_same_products(tmp_path: Path, write: Writer) -> None:
    table = read_products(write(tmp_path, ROWS), labelled=True)
    assert table.schema.equals(columns.LABELLED_PRODUCT.append(pa.field("group", pa.string())))
    assert table.to_pydict() == {
        "product_id": ["0012", "b", "c"],
        "title": ['Lamp, "old"\nred', "ตู้เย็น 5 คิว", "Kühlschrank"],
        "description": [None] * 3,
        "brand": [None] * 3,
        "seller_id": [None] * 3,
        "subcategory": [None] * 3,
        "price_minor": [1234, None, 1500],
        "currency": ["EUR", None, "JPY"],
        "rating": [None] * 3,
        "reviews_count": [None] * 3,
        "created_at": [None] * 3,
        "category_path": [["Home", "Light"], ["Home"], ["Home", "Cold"]],
        "group": ["lamp old red", "ตู้เย็น 5 คิว", "kühlschrank"],
    }


@every_format
def test_labels_are_left_out_where_they_are_not_asked_for(tmp_path: Path, write: Writer) -> None:
    table = read_products(write(tmp_path, ROWS), labelled=False)
    assert table.schema.names == [*columns.PRODUCT.names, "group"]


@every_format
def test_a_limit_takes_the_first_rows_and_looks_at_no_others(tmp_path: Path, write: Writer) -> None:
    path = write(tmp_path, [*ROWS, {"product_id": "d", "title": ""}])
    assert read_products(path, labelled=True, limit=2)["product_id"].to_pylist() == ["0012", "b"]


@every_format
def test_every_field_and_its_other_names_are_read(tmp_path: Path, write: Writer) -> None:
    row = {
        "product_id": "a",
        "title": "T",
        "description": "D",
        "brand": "B",
        "seller": "S",
        "subcategory": "C",
        "price_minor": 5,
        "currency": " eur",
        "rating": 4.5,
        "reviews_count": 7,
        "created_at": "2026-01-02T03:04:05.678+01:00",
        "group": "g",
        "colour": "red",
    }
    (found,) = read_products(write(tmp_path, [row]), labelled=False).to_pylist()
    assert found == {
        "product_id": "a",
        "title": "T",
        "description": "D",
        "brand": "B",
        "seller_id": "S",
        "subcategory": "C",
        "price_minor": 5,
        "currency": "EUR",
        "rating": 4.5,
        "reviews_count": 7,
        "created_at": datetime(2026, 1, 2, 2, 4, 5, 678_000, tzinfo=UTC),
        "group": "g",
    }


def test_a_column_wins_over_its_other_name(tmp_path: Path) -> None:
    row = {"product_id": "a", "title": "T", "seller": "x", "seller_id": "y", "price": 1.0, "price_minor": 250}
    (found,) = read_products(write_jsonl(tmp_path, [row]), labelled=False).to_pylist()
    assert (found["seller_id"], found["price_minor"]) == ("y", 250)


def test_gaps_that_pandas_made_floats_are_gaps(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    frame = pd.DataFrame(
        {
            "product_id": [17.0, 18.0],
            "title": ["a", "b"],
            "brand": [np.nan, np.nan],
            "price": [np.nan, 2.5],
            "reviews_count": [np.nan, 3.0],
            "created_at": [pd.NaT, pd.Timestamp("2026-01-01", tz="UTC")],
        }
    )
    pq.write_table(pa.Table.from_pandas(frame), path)
    found = read_products(path, labelled=False).to_pydict()
    assert found["product_id"] == ["17", "18"]
    assert found["brand"] == [None, None]
    assert found["price_minor"] == [None, 250]
    assert found["reviews_count"] == [None, 3]
    assert found["created_at"] == [None, datetime(2026, 1, 1, tzinfo=UTC)]


def test_nan_in_a_parquet_file_of_others_is_no_price(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    pq.write_table(
        pa.table({"product_id": ["a"], "title": ["t"], "price": [float("nan")], "description": pa.nulls(1)}), path
    )
    assert read_products(path, labelled=False)["price_minor"].to_pylist() == [None]


@pytest.mark.parametrize(
    ("value", "currency", "minor"),
    [
        ("12.345", "EUR", 1234),
        ("12.355", "EUR", 1236),
        ("12.3450000001", "EUR", 1235),
        (12.345, "EUR", 1234),
        (12.355, "EUR", 1236),
        (1.005, "EUR", 100),
        (0.29, "EUR", 29),
        (1.1 + 2.2, "EUR", 330),
        ("1500", "JPY", 1500),
        ("1500.5", "JPY", 1500),
        ("1501.5", "JPY", 1502),
        ("1.2345", "KWD", 1234),
        ("1.2345", "CLF", 12345),
        ("9.99", None, 999),
        ("9.99", "XYZ", 999),
        ("1e3", "EUR", 100_000),
        (Decimal("92233720368547758.07"), "EUR", 2**63 - 1),
        (0, "EUR", 0),
        ("", "EUR", None),
        (None, None, None),
    ],
)
def test_a_price_is_rounded_half_to_even_from_its_digits(value: object, currency: str, minor: int | None) -> None:
    assert price_minor(value, currency) == minor


@given(st.integers(0, 10**15))
def test_a_price_that_fits_its_minor_units_is_exact(minor: int) -> None:
    assert price_minor(f"{minor // 100}.{minor % 100:02}", "EUR") == minor
    if minor < 2**50:  # beyond, the double next to it is more than half a cent away
        assert price_minor(minor / 100, "EUR") == minor


@pytest.mark.parametrize("value", [np.float32(12.345), np.float32(0.1), np.float32(19.99)])
def test_a_price_in_single_precision_is_the_one_that_was_meant(tmp_path: Path, value: np.float32) -> None:
    path = tmp_path / "file.parquet"
    table = pa.table({"product_id": ["a"], "title": ["t"], "price": pa.array([value], pa.float32())})
    pq.write_table(table, path)
    assert read_products(path, labelled=False)["price_minor"].to_pylist() == [price_minor(str(value), None)]


BAD_VALUES = [
    ({"price": "12,50"}, "row 2: column price: '12,50' is not a number"),
    ({"price": "-1.5"}, "row 2: column price: '-1.5' is negative"),
    ({"price": "inf"}, "row 2: column price: 'inf' is not a finite number"),
    ({"price": "1e30"}, "row 2: column price: '1e30' is too large"),
    ({"price_minor": "1.5"}, "row 2: column price_minor: '1.5' is not a whole number"),
    ({"price_minor": "-5"}, "row 2: price_minor is -5, expected 0 or more"),
    ({"rating": "good"}, "row 2: column rating: 'good' is not a number"),
    ({"rating": "-1"}, "row 2: rating is -1.0, expected a finite number, 0 or more"),
    ({"reviews_count": "9223372036854775808"}, "row 2: column reviews_count: '9223372036854775808' is too large"),
    ({"currency": "Euro"}, "row 2: currency is 'EURO', expected three capital letters such as EUR (ISO 4217)"),
    (
        {"created_at": "yesterday"},
        "row 2: column created_at: 'yesterday' is not a time such as 2026-01-31T12:00:00Z",
    ),
    ({"title": ""}, "row 2: column title is empty, and every product needs one"),
    ({"title": " \u3000"}, "row 2: title is blank (' \\u3000')"),
    ({"product_id": ""}, "row 2: column product_id is empty, and every product needs one"),
    ({"product_id": "x" * 300}, f"row 2: product_id has 300 bytes, at most 256 are allowed ('{'x' * 40}'…)"),
    ({"category": ""}, "row 2: column category is empty, and every product needs one"),
    ({"category": "A >  > B"}, "row 2: column category: 'A >  > B' has a blank level"),
    ({"category": "A > > B"}, "row 2: column category: 'A > > B' has a blank level"),
    ({"category": "A > "}, "row 2: column category: 'A > ' has a blank level"),
]


@pytest.mark.parametrize("write", [write_csv, write_jsonl])
@pytest.mark.parametrize(("changes", "sentence"), BAD_VALUES, ids=lambda case: str(case)[:40])
def test_a_bad_value_is_named_by_file_row_and_column(
    tmp_path: Path, write: Writer, changes: dict[str, Any], sentence: str
) -> None:
    good = dict.fromkeys(changes) | {"product_id": "a", "title": "t", "category": "A"}
    path = write(tmp_path, [good, good | changes, good | changes])
    assert refusal(path, labelled=True) == f"{path.name} {sentence}"


@pytest.mark.parametrize(
    ("path_value", "problem"),
    [
        ([], "the list is empty, expected at least one level"),
        (["A", " "], "['A', ' '] has a blank level"),
        (["A", None], "['A', None] has a blank level"),
        ({"a": 1}, "{'a': 1} is neither a list nor a text such as 'Core > memory'"),
    ],
)
def test_a_list_that_is_no_path_is_named_by_its_row(tmp_path: Path, path_value: object, problem: str) -> None:
    good = {"product_id": "a", "title": "t", "category_path": ["A"]}
    path = write_jsonl(tmp_path, [good, good | {"category_path": path_value}])
    assert refusal(path, labelled=True) == f"file.jsonl row 2: column category_path: {problem}"
    assert read_products(path, labelled=False).num_rows == 2


@every_format
def test_a_missing_column_is_named_with_those_that_there_are(tmp_path: Path, write: Writer) -> None:
    path = write(tmp_path, [{"product_id": "a", "name": "t"}])
    assert refusal(path) == f"{path.name} has no column title; it has product_id, name"
    path = write(tmp_path, [{"sku": "a", "title": "t"}])
    assert refusal(path) == f"{path.name} has no column product_id; it has sku, title"
    path = write(tmp_path, [{"product_id": "a", "title": "t"}])
    assert refusal(path, labelled=True) == (
        f"{path.name} has no column category_path or category; it has product_id, title"
    )


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("file.xlsx", b"x", "file.xlsx has the extension .xlsx, expected one of .parquet, .csv, .jsonl, .ndjson"),
        ("file", b"x", "file has the extension (none), expected one of .parquet, .csv, .jsonl, .ndjson"),
        ("file.csv", b"", "file.csv is empty"),
        ("file.csv", b"product_id,title\n", "file.csv has no rows"),
        ("file.csv", b"product_id,title\na,b\nc,d,e\n", "file.csv row 2: Expected 2 columns, got 3: c,d,e"),
        ("file.csv", b"product_id,title,title\na,b,c\n", "file.csv has two columns title"),
        ("file.jsonl", b'{"product_id": "a"\n', "file.jsonl row 1: not JSON ("),
        ("file.jsonl", b"[1]\n", "file.jsonl row 1: expected a JSON object"),
        ("file.jsonl", b"\n\n", "file.jsonl has no column product_id; it has none at all"),
        (
            "file.jsonl",
            b'{"product_id": "a", "title": "\\ud800"}\n',
            "file.jsonl row 1: column title: 'utf-8' codec",
        ),
        ("file.jsonl", b'{"product_id": "a", "title": ["x"]}\n', "row 1: column title: ['x'] is not a text"),
        ("file.jsonl", b'{"product_id": true, "title": "x"}\n', "row 1: column product_id: True is not a text"),
        (
            "file.jsonl",
            b'{"product_id": "a", "title": "x", "price": true}\n',
            "column price: True is not a number",
        ),
        ("file.jsonl", b"\xff\n", "file.jsonl cannot be read as jsonl: 'utf-8' codec can't decode"),
        (
            "file.csv",
            b"product_id,title\na,\xff\n",
            "file.csv row 1: CSV conversion error to string: invalid UTF8 data",
        ),
        ("file.parquet", b"not parquet", "file.parquet cannot be read as parquet: "),
    ],
)
def test_a_damaged_file_gets_one_sentence(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert sentence in refusal(path)


def test_a_file_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    assert refusal(tmp_path / "no.csv") == f"{tmp_path / 'no.csv'} is not there, expected a file"
    (tmp_path / "folder.csv").mkdir()
    assert "is a folder, expected a file" in refusal(tmp_path / "folder.csv")


def test_a_byte_order_mark_is_no_part_of_a_column_s_name(tmp_path: Path) -> None:
    for name, text in (("a.csv", "product_id,title\na,t\n"), ("a.jsonl", '{"product_id": "a", "title": "t"}\n')):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8-sig")
        assert read_products(path, labelled=False).num_rows == 1


def test_a_title_as_long_as_is_allowed_is_read(tmp_path: Path) -> None:
    rows = [{"product_id": "a", "title": "x" * 131_072, "description": "y" * 524_288}] * 20
    for write in (write_csv, write_jsonl, write_parquet):
        assert read_products(write(tmp_path, rows), labelled=False).num_rows == 20


def test_the_sample_catalogue_is_read_whole(repository: Path) -> None:
    path = repository / "sortline" / "sample_data" / "pcparts.parquet"
    raw = pq.read_table(path)
    table = read_products(path, labelled=True)
    assert table.num_rows == raw.num_rows
    assert table["group"].to_pylist() == [fold_title(str(title)) for title in raw["title"]]
    assert table["category_path"].to_pylist() == raw["category_path"].to_pylist()
    assert table["price_minor"].null_count == raw["price"].null_count
    for price, minor in zip(raw["price"].to_pylist()[:5000], table["price_minor"].to_pylist()[:5000], strict=True):
        assert minor == (None if price is None else round(Decimal(str(price)) * 100))


@pytest.mark.parametrize(
    ("title", "folded"),
    [
        ("Ｌａｍｐ—ＸＬ", "lamp xl"),
        ("under_score", "under score"),
        ("किताब", "किताब"),
        ("  ", ""),
        ("½ inch", "1 2 inch"),
        ("e\u0301", "é"),
        ("J\u030c", "\u01f0"),
    ],
)
def test_titles_fold_by_letters_marks_and_digits(title: str, folded: str) -> None:
    assert fold_title(title) == folded


@settings(max_examples=50)
@given(st.text())
def test_a_folded_title_has_no_other_characters_and_single_spaces(title: str) -> None:
    folded = fold_title(title)
    assert folded == " ".join(folded.split())
    assert not set(folded) & set("_-+.,;:!?'\"()/\x00")
    assert folded == fold_title(folded.replace(" ", " - "))
