from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from schemas.errors import SetupError
from sortline.sample import write_products
from sortline.sample_products import generate_products


@pytest.fixture(scope="module")
def products() -> pa.Table:
    return generate_products(rows=10_000, seed=7)


def test_the_same_seed_gives_the_same_products(products: pa.Table) -> None:
    assert generate_products(rows=10_000, seed=7).equals(products)


def test_another_seed_gives_other_products(products: pa.Table) -> None:
    other = generate_products(rows=10_000, seed=8)
    assert other["title"].to_pylist() != products["title"].to_pylist()


def test_every_field_of_a_product_is_there(products: pa.Table) -> None:
    assert products.column_names == [
        "product_id",
        "title",
        "description",
        "brand",
        "seller_id",
        "subcategory",
        "price",
        "currency",
        "rating",
        "reviews_count",
        "created_at",
        "category",
    ]
    assert all(products[name].null_count < products.num_rows // 10 for name in products.column_names)


def test_a_sample_of_ten_thousand_has_more_than_five_thousand_sellers_and_twelve_categories(
    products: pa.Table,
) -> None:
    assert pc.count_distinct(products["seller_id"]).as_py() > 5_000
    assert pc.count_distinct(products["category"]).as_py() == 12
    assert pc.count_distinct(products["product_id"]).as_py() == products.num_rows


def test_a_product_without_reviews_has_no_rating(products: pa.Table) -> None:
    unrated = [rating is None for rating in products["rating"].to_pylist()]
    assert any(unrated)
    assert unrated == [count == 0 for count in products["reviews_count"].to_pylist()]


def test_numbers_are_in_their_ranges(products: pa.Table) -> None:
    assert pc.min(products["price"]).as_py() > 0
    assert pc.min(products["rating"]).as_py() >= 1
    assert pc.max(products["rating"]).as_py() <= 5


def test_titles_sometimes_carry_the_words_that_the_classic_features_look_for(products: pa.Table) -> None:
    titles = products["title"].to_pylist()
    for word in ("pro", "premium", "deluxe", "standard", "basic", "new", "sale"):
        share = np.mean([str(title).lower().startswith(f"{word} ") for title in titles])
        assert 0.01 < share < 0.25, word


def test_no_single_subcategory_or_brand_gives_the_category_away(products: pa.Table) -> None:
    for column in ("subcategory", "brand"):
        groups = products.group_by([column, "category"]).aggregate([("product_id", "count")])
        largest = groups.group_by(column).aggregate([("product_id_count", "max")])
        assert pc.sum(largest["product_id_count_max"]).as_py() / products.num_rows < 0.75, column


def test_one_label_in_ten_is_wrong(products: pa.Table) -> None:
    # "laptops" is one category's own word; a product so filed under another category carries a wrong label.
    laptops = products.filter(pc.equal(products["subcategory"], pa.scalar("laptops")))
    wrong = np.mean([category != "Electronics > Computers" for category in laptops["category"].to_pylist()])
    assert laptops.num_rows > 200
    assert 0.05 < wrong < 0.16


@pytest.mark.parametrize("name", ["products.parquet", "products.csv", "products.jsonl"])
def test_the_extension_chooses_the_form_of_the_file(products: pa.Table, tmp_path: Path, name: str) -> None:
    few = products.slice(0, 50)
    to = tmp_path / "made" / name
    write_products(few, to=to)
    if name.endswith(".parquet"):
        titles = pq.read_table(to)["title"].to_pylist()
    elif name.endswith(".csv"):
        titles = pyarrow.csv.read_csv(to)["title"].to_pylist()
    else:
        titles = [json.loads(line)["title"] for line in to.read_text(encoding="utf-8").splitlines()]
    assert titles == few["title"].to_pylist()


def test_another_extension_is_refused(products: pa.Table, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"products\.xlsx must end in"):
        write_products(products, to=tmp_path / "products.xlsx")


def test_a_place_that_cannot_be_written_is_named(products: pa.Table, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(SetupError, match="cannot be written"):
        write_products(products, to=tmp_path / "file" / "products.csv")
