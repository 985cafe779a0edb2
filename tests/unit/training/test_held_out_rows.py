from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from schemas.errors import SetupError
from tests.unit.training.made_catalog import made_products
from training.held_out_rows import fair_rows, relabelled
from training.splits import TEST, assign_parts, groups_of


def held_out_part(products: pa.Table, seed: int) -> pa.Table:
    return products.filter(pa.array(assign_parts(groups_of(products), seed=seed) == TEST))


def ids(rows: pa.Table) -> set[object]:
    return set(rows["product_id"].to_pylist())


def with_category(products: pa.Table, product_id: object, path: list[str]) -> pa.Table:
    paths = [
        path if one == product_id else old
        for one, old in zip(products["product_id"].to_pylist(), products["category_path"].to_pylist(), strict=True)
    ]
    at = products.column_names.index("category_path")
    return products.set_column(at, products.schema.field(at), pa.array(paths, pa.list_(pa.string())))


def fair(champions: pa.Table | None, candidates: pa.Table, *seeds: int) -> tuple[pa.Table, pa.Table]:
    first, second = seeds
    return fair_rows(champions, candidates, champion_lineage={"seed": first}, candidate_lineage={"seed": second})


def test_what_came_later_is_newer_and_the_rest_is_the_champions() -> None:
    before, after = held_out_part(made_products(300), 1), held_out_part(made_products(500), 1)
    own, newer = fair(before, after, 1, 1)
    assert ids(own) == ids(before)
    assert ids(newer) == ids(after) - ids(before)


def test_of_a_product_that_changed_category_only_the_newer_row_is_kept() -> None:
    before = held_out_part(made_products(300), 1)
    changed = before["product_id"][3].as_py()
    after = with_category(before, changed, ["Garden", "shed"])
    own, newer = fair(before, after, 1, 1)
    assert ids(own) == ids(before) - {changed}
    assert newer.to_pylist() == [row for row in after.to_pylist() if row["product_id"] == changed]
    old = tuple(before["category_path"][3].as_py())
    assert relabelled(before, after) == [(old, ("Garden", "shed"))]


def test_a_product_that_left_the_catalogue_still_counts_for_the_champion() -> None:
    before = held_out_part(made_products(300), 1)
    own, newer = fair(before, before.slice(5), 1, 1)
    assert ids(own) == ids(before)
    assert newer.num_rows == 0


def test_rows_that_either_model_has_learned_from_are_in_neither_set() -> None:
    products = made_products(2_000)
    own, newer = fair(held_out_part(products, 1), held_out_part(products, 2), 1, 2)
    both = ids(held_out_part(products, 1)) & ids(held_out_part(products, 2))
    assert ids(own) == both
    assert newer.num_rows == 0
    assert 0 < len(both) < 200


def test_without_rows_of_the_champion_only_newer_ones_are_left() -> None:
    after = held_out_part(made_products(300), 1)
    own, newer = fair(None, after, 1, 1)
    assert own.num_rows == 0
    assert ids(newer) == ids(after)


def test_a_model_that_tells_no_seed_cannot_be_compared() -> None:
    rows = held_out_part(made_products(100), 1)
    with pytest.raises(SetupError, match="tells no seed"):
        fair_rows(rows, rows, champion_lineage={}, candidate_lineage={"seed": 1})


def test_the_given_group_decides_over_the_title() -> None:
    rows = made_products(200)
    rows = rows.append_column("group", pa.array(np.repeat("one group", 200).tolist()))
    own, newer = fair(rows, rows, 1, 1)
    is_test = assign_parts(pa.array(["one group"]), seed=1)[0] == TEST
    assert own.num_rows == (200 if is_test else 0)
    assert newer.num_rows == 0
