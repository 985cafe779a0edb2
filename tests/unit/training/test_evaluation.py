from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.classifier import Classifier
from models.taxonomy import Taxonomy
from schemas.errors import SetupError
from tests.tiny_model import fit_tiny_classifier, tiny_products
from training.evaluation import evaluate_classifier, metrics_of
from training.true_paths import classes_of, is_at_or_above, paths_of

LEAVES = Taxonomy((("a",), ("a", "x"), ("b", "y"))).leaves
PATHS = pa.list_(pa.string())


@cache
def classifier() -> Classifier:
    return fit_tiny_classifier()


def test_the_class_of_a_path_is_the_longest_part_of_it_that_is_a_leaf() -> None:
    paths = [("a", "x"), ("a", "x", "deeper"), ("a", "new"), ("a",), ("b",), ("b", "y"), ("c",)]

    assert classes_of(paths, LEAVES).tolist() == [1, 1, 0, 0, -1, 2, -1]


def test_what_is_published_is_right_if_it_is_the_true_path_or_above_it() -> None:
    published = pa.array([["a"], ["a", "x"], ["a", "x"], ["b"], ["a", "x", "y"], ["a"]], PATHS)
    truth = pa.array([["a", "x"], ["a", "x"], ["a", "xx"], ["a", "x"], ["a", "x"], ["aa"]], PATHS)

    assert is_at_or_above(published, truth).tolist() == [True, True, False, False, False, False]


def test_figures_are_those_of_the_rows_counted_one_by_one() -> None:
    products = pa.Table.from_batches([tiny_products(20)])
    evaluation = evaluate_classifier(classifier(), products)

    decisions: list[dict[str, Any]] = classifier().classify(products.to_batches()[0]).to_pylist()
    truths = [list(path) for path in paths_of(products["category_path"])]
    rows = list(zip(truths, decisions, strict=True))
    best = [(truth, row["alternatives"][0]["category_path"]) for truth, row in rows]
    published = [(truth, row["category_path"]) for truth, row in rows if row["decision"] != "review"]
    assert evaluation.n == len(rows)
    assert evaluation.accuracy == pytest.approx(np.mean([truth == leaf for truth, leaf in best]))
    assert evaluation.exact_accuracy == evaluation.accuracy
    assert evaluation.coverage == pytest.approx(len(published) / len(rows))
    assert evaluation.precision == pytest.approx(np.mean([t[: len(path)] == path for t, path in published]))
    assert evaluation.top3 == pytest.approx(
        np.mean([truth in [one["category_path"] for one in row["alternatives"]] for truth, row in rows])
    )
    for one in evaluation.classes:
        path = list(one.path)
        assert one.support == sum(truth == path for truth, _ in best)
        right = sum(truth == leaf == path for truth, leaf in best)
        assert one.recall == pytest.approx(right / one.support)
        assert one.precision == pytest.approx(right / max(1, sum(leaf == path for _, leaf in best)))
        decided = [row["decision"] != "review" for truth, row in rows if truth == path]
        assert one.coverage == pytest.approx(np.mean(decided))
        as_it = [t for t, row in rows if row["decision"] == "accepted" and row["category_path"] == path]
        assert one.published == len(as_it)
        assert one.published_precision == pytest.approx(np.mean([t[: len(path)] == path for t in as_it]))
    assert evaluation.macro_f1 == pytest.approx(np.mean([one.f1 for one in evaluation.classes]))
    assert evaluation.confusion[:, 2].sum() == len(rows)
    assert sum(one.n for one in evaluation.reliability) == len(rows)


def test_a_category_finer_than_the_model_is_right_by_class_and_not_exactly() -> None:
    products = tiny_products(20)
    finer = [[*path, "finer"] for path in paths_of(products["category_path"])]
    evaluation = evaluate_classifier(classifier(), with_paths(products, finer))

    assert evaluation.accuracy == evaluate_classifier(classifier(), with_paths(products, None)).accuracy
    assert evaluation.exact_accuracy == 0
    assert evaluation.n_unknown == 0


def test_an_unknown_category_counts_as_wrong() -> None:
    products = tiny_products(20)
    paths = paths_of(products["category_path"])
    half = [["Elsewhere"] if row % 2 else list(path) for row, path in enumerate(paths)]
    evaluation = evaluate_classifier(classifier(), with_paths(products, half))

    assert evaluation.n_unknown == len(paths) // 2
    assert evaluation.accuracy <= 0.5
    assert evaluation.precision <= 0.6
    assert evaluation.confusion[:, 2].sum() == len(paths) - evaluation.n_unknown


def test_an_evaluation_can_be_written_as_json() -> None:
    evaluation = evaluate_classifier(classifier(), with_paths(tiny_products(20), None))

    document = json.loads(json.dumps(evaluation.to_json(), allow_nan=False))
    assert document["accuracy"] == evaluation.accuracy
    assert sum(cell[2] for cell in document["confusion"]) == evaluation.n
    assert document["classes"][0]["path"] == list(evaluation.classes[0].path)
    assert json.loads(json.dumps(metrics_of(evaluation)))["macro_f1"] == evaluation.macro_f1


def test_nothing_to_evaluate_on_is_said() -> None:
    with pytest.raises(SetupError, match="no products"):
        evaluate_classifier(classifier(), with_paths(tiny_products(20).slice(0, 0), None))


def with_paths(products: pa.RecordBatch, paths: list[list[str]] | None) -> pa.Table:
    table = pa.Table.from_batches([products])
    if paths is None:
        return table
    at = table.schema.get_field_index("category_path")
    return table.set_column(at, "category_path", pa.array(paths, PATHS))
