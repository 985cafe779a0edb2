from __future__ import annotations

import hashlib
import json

import numpy as np
import pyarrow as pa
import pytest

from schemas.columns import LABELLED_PRODUCT
from tests.unit.training.made_catalog import made_products
from training.catalog import content_digest, latest_products

PRODUCTS = made_products(60)


def changed(column: str, value: object) -> pa.Table:
    rows = PRODUCTS.to_pylist()
    rows[17][column] = value
    return pa.Table.from_pylist(rows, LABELLED_PRODUCT)


def test_the_digest_is_that_of_the_rows_as_json_in_order_of_product_id() -> None:
    rows = sorted(PRODUCTS.to_pylist(), key=lambda row: row["product_id"].encode())
    lines = [json.dumps([row[name] for name in LABELLED_PRODUCT.names], separators=(",", ":")) for row in rows]
    expected = hashlib.sha256(b"".join(hashlib.sha256(line.encode()).digest() for line in lines))

    assert content_digest(PRODUCTS) == expected.hexdigest()


def test_order_and_chunks_of_the_rows_do_not_change_the_digest() -> None:
    shuffled = PRODUCTS.take(np.random.default_rng(1).permutation(60))
    in_chunks = pa.concat_tables([shuffled.slice(0, 7), shuffled.slice(7, 1), shuffled.slice(8)])

    assert content_digest(in_chunks) == content_digest(PRODUCTS)


def test_columns_beside_the_product_do_not_change_the_digest() -> None:
    grouped = PRODUCTS.append_column("group", PRODUCTS["title"])

    assert content_digest(grouped) == content_digest(PRODUCTS)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("title", "another"),
        ("description", ""),
        ("brand", "İ"),
        ("price_minor", 1),
        ("rating", 0.30000000000000004),
        ("created_at", 1),
        ("category_path", ["Audio", "headphones", ""]),
        ("category_path", ["Audio,headphones"]),
    ],
)
def test_any_other_value_changes_the_digest(column: str, value: object) -> None:
    assert content_digest(changed(column, value)) != content_digest(PRODUCTS)


def test_the_last_row_of_a_product_counts_and_rows_are_sorted() -> None:
    later = changed("title", "later")
    both = pa.concat_tables([PRODUCTS.take(np.arange(60)[::-1]), later])

    latest = latest_products(both)

    assert latest.equals(later)


def test_product_ids_sort_as_bytes() -> None:
    table = pa.table({"product_id": ["ä", "b", "B", "😀", "\ufb01"]})

    assert latest_products(table)["product_id"].to_pylist() == ["B", "b", "ä", "\ufb01", "😀"]


def test_no_products_stay_no_products() -> None:
    empty = PRODUCTS.slice(0, 0)

    assert latest_products(empty).num_rows == 0
    assert content_digest(empty) == hashlib.sha256().hexdigest()
