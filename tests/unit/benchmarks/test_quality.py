from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from benchmarks.harness.catalogues import Catalogue, find_file, kept_products
from benchmarks.harness.classifiers import TITLES, measure
from benchmarks.quality import table
from tests.unit.training.made_catalog import made_products

SHOP = Catalogue(name="shop", title="a shop", levels=2, least_levels=2, least_products=3)


def test_only_categories_of_enough_products_at_the_level_that_counts_are_kept() -> None:
    paths = [["A", "a", "x"], ["A", "a", "y"], ["A", "a"], ["A"], ["B", "b"], ["B", "b"]]
    products = pa.table(
        {"product_id": list("123456"), "category_path": pa.array(paths, pa.list_(pa.string()))},
    )
    kept = kept_products(products, SHOP)

    assert kept["product_id"].to_pylist() == ["1", "2", "3"]
    assert kept["category_path"].to_pylist() == [["A", "a"]] * 3


def test_a_catalogue_is_found_in_a_folder_of_its_own_or_beside_others(tmp_path: Path) -> None:
    assert find_file(SHOP, tmp_path) is None
    assert find_file(SHOP, None) is None  # it does not ship
    beside = tmp_path / "shop.parquet"
    beside.touch()
    assert find_file(SHOP, tmp_path) == beside
    own = tmp_path / "shop" / "shop.parquet"
    own.parent.mkdir()
    own.touch()
    assert find_file(SHOP, tmp_path) == own


def test_every_way_classifies_the_same_products_far_better_than_the_largest_class() -> None:
    started: list[str] = []
    outcomes = list(measure(made_products(1_000), 0, list(TITLES), started.append))

    assert {outcome.way for outcome in outcomes} == set(TITLES)
    assert started == ["words", "bar", "classic", "text alone and text"]
    assert all(outcome.accuracy > 0.5 and outcome.event_us > 0 for outcome in outcomes)
    assert all((outcome.ece is None) == (outcome.way in ("words", "bar")) for outcome in outcomes)


def run(way: str, accuracy: float, ece: float | None) -> dict[str, Any]:
    return {
        "way": way,
        "accuracy": accuracy,
        "macro_f1": 0.5,
        "ece": ece,
        "coverage": ece,
        "precision": ece,
        "as_leaf": ece,
        "fit_seconds": 3.0,
        "event_us": 2.5,
    }


def test_the_table_has_means_and_ranges_and_says_where_a_way_has_no_figure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("benchmarks.harness.report.told", lambda _: "measured somewhere")
    runs = [run("bar", 0.9, None), run("bar", 0.95, None), run("text", 0.97, 0.01)]
    text = table(
        {"seeds": [0, 1], "catalogues": [{"title": "a shop", "products": 1000, "categories": 3, "runs": runs}]}
    )

    assert "A shop: 1,000 products, 3 categories." in text
    assert f"| {TITLES['bar']} | .925 (.900–.950) | .500 | – | – | – | – | 3 | 2.5 |" in text
    assert f"| {TITLES['text']} | .970 | .500 | .010 | .010 | .010 | .010 | 3 | 2.5 |" in text
    assert TITLES["classic"] not in text
