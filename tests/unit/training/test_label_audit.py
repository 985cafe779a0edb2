from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from models.taxonomy import Path
from schemas.errors import SetupError
from tests.unit.training.made_catalog import CATEGORIES, made_products
from training.label_audit import LabelAudit, audit_labels, label_path, rank_suspects
from training.progress import SilentProgress
from training.true_paths import paths_of

PATHS: list[Path] = list(CATEGORIES)


def audit(products: pa.Table, *, min_products: int = 10) -> LabelAudit:
    return audit_labels(products, seed=3, min_products=min_products, progress=SilentProgress())


def clean_products(n_rows: int = 400) -> pa.Table:
    """Products whose noun is of their category, all of them."""
    rows = made_products(n_rows).to_pylist()
    for i, row in enumerate(rows):
        noun = CATEGORIES[tuple(row["category_path"])][i % 3]
        row["title"] = f"{noun} {row['title'].split(' ', 1)[1]} {i}"
        row["description"] = None
    return pa.Table.from_pylist(rows, made_products(1).schema)


def relabelled(products: pa.Table, rows: list[int]) -> pa.Table:
    """Give these rows the category after their own."""
    paths = paths_of(products["category_path"])
    for row in rows:
        paths[row] = PATHS[(PATHS.index(paths[row]) + 1) % len(PATHS)]
    place = products.schema.get_field_index("category_path")
    field = products.schema.field(place)
    return products.set_column(place, field, pa.array([list(path) for path in paths], field.type))


def test_labels_made_wrong_come_first_with_the_right_one_suggested() -> None:
    products = clean_products()
    wrong = np.random.default_rng(5).choice(400, 20, replace=False)
    found = audit(relabelled(products, wrong.tolist()))

    first = found.suspects.rows[:20].tolist()
    assert len(set(first) & set(wrong.tolist())) >= 18
    truth = products["category_path"].to_pylist()
    assert all(label_path(found, rank) == tuple(truth[row]) for rank, row in enumerate(first) if row in wrong)
    assert found.n_judged == 400
    assert 0.9 < found.agreement < 0.96


def test_where_every_label_is_right_there_is_next_to_nothing_to_look_at() -> None:
    assert len(audit(clean_products()).suspects.rows) <= 4


def test_a_wrong_label_that_all_products_of_a_title_have_is_found_all_the_same() -> None:
    rows = clean_products().to_pylist()
    same = [
        rows[0] | {"product_id": f"same{i}", "title": "Headphones black 77", "category_path": list(PATHS[4])}
        for i in range(8)
    ]
    found = audit(pa.Table.from_pylist(rows + same, clean_products(1).schema))

    assert set(range(400, 408)) <= set(found.suspects.rows.tolist())


def test_the_order_and_repetition_of_rows_change_nothing() -> None:
    products = relabelled(clean_products(), [3, 40, 200])
    again = audit(products.take(np.random.default_rng(1).permutation(400)))
    first = audit(pa.concat_tables([products.slice(0, 50), products]))

    assert first.suspects.rows.tolist() == again.suspects.rows.tolist()
    assert first.suspects.confidence.tobytes() == again.suspects.confidence.tobytes()


def test_a_category_that_no_other_fold_knows_is_not_judged() -> None:
    rows = clean_products().to_pylist()
    alone = [rows[0] | {"product_id": f"x{i}", "title": "Kettle", "category_path": ["Kitchen"]} for i in range(12)]
    found = audit(pa.Table.from_pylist(rows + alone, clean_products(1).schema))

    assert found.n_judged == 400
    assert not set(range(400, 412)) & set(found.suspects.rows.tolist())


def test_an_ancestor_says_nothing_against_a_label() -> None:
    rows = clean_products().to_pylist()
    small = [row | {"category_path": [*row["category_path"], "mini"]} for row in rows[:4]]
    found = audit(pa.Table.from_pylist(small + rows[4:], clean_products(1).schema))

    assert len(found.labels.merged) == 4
    assert not {0, 1, 2, 3} & set(found.suspects.rows.tolist())


def test_a_class_contradicts_a_label_only_as_surely_as_it_is_said_of_its_own_products() -> None:
    usual = [[0.9, 0.1]] * 4 + [[0.1, 0.9]] * 4
    probabilities = np.array([*usual, [0.3, 0.7], [0.08, 0.92], [0.05, 0.95]])
    found = rank_suspects(probabilities, np.array([0] * 4 + [1] * 4 + [0, 0, 0], np.int32))

    assert found.rows.tolist() == [10, 9]  # the least probable label first; .7 is less than class 1's usual .9
    assert found.suggested.tolist() == [1, 1]
    assert found.confidence.tolist() == [0.95, 0.92]


def test_too_little_to_judge_by_is_refused_with_the_reason() -> None:
    products = clean_products(40)
    one = products.filter(pa.array([row % 5 == 0 for row in range(40)]))
    with pytest.raises(SetupError, match="8 products do not have two categories"):
        audit(one, min_products=2)
    with pytest.raises(SetupError, match="0 products do not have two categories"):
        audit(products.slice(0, 0))
    with pytest.raises(SetupError, match="no column category_path"):
        audit(products.drop_columns(["category_path"]))
