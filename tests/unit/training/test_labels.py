from __future__ import annotations

import numpy as np

from models.taxonomy import Path
from training.labels import EXCLUDED, TrainedLabels, merge_small_categories


def merge(counts: dict[Path, int], *, min_products: int = 5, train: int | None = None) -> TrainedLabels:
    paths = [path for path, count in counts.items() for _ in range(count)]
    is_train = np.arange(len(paths)) < (len(paths) if train is None else train)
    return merge_small_categories(paths, is_train=is_train, min_products=min_products)


def test_a_category_with_enough_products_is_a_class_of_its_own() -> None:
    labels = merge({("a", "x"): 5, ("a", "y"): 6})

    assert labels.leaves == (("a", "x"), ("a", "y"))
    assert labels.targets.tolist() == [0] * 5 + [1] * 6
    assert not labels.merged
    assert not labels.excluded


def test_a_small_category_is_trained_as_its_parent() -> None:
    labels = merge({("a", "x"): 5, ("a", "y"): 4, ("a", "z"): 3})

    assert labels.leaves == (("a",), ("a", "x"))
    assert labels.targets.tolist() == [1] * 5 + [0] * 7
    assert labels.merged == {("a", "y"): ("a",), ("a", "z"): ("a",)}


def test_a_parent_that_is_still_too_small_goes_further_up() -> None:
    labels = merge({("a", "b", "x"): 2, ("a", "b", "y"): 2, ("a", "c"): 9, ("a", "d", "z"): 1})

    assert labels.leaves == (("a",), ("a", "c"))
    assert labels.merged == {("a", "b", "x"): ("a",), ("a", "b", "y"): ("a",), ("a", "d", "z"): ("a",)}


def test_small_children_together_can_make_a_parent_large_enough() -> None:
    labels = merge({("a", "b", "x"): 3, ("a", "b", "y"): 3, ("a", "c"): 2})

    assert labels.leaves == (("a",), ("a", "b"))


def test_a_small_root_is_kept_with_two_products_and_excluded_with_one() -> None:
    labels = merge({("a", "x"): 9, ("b", "y"): 2, ("c", "z"): 1})

    assert labels.leaves == (("a", "x"), ("b",))
    assert labels.excluded == {("c", "z"): 1}
    assert labels.targets.tolist() == [0] * 9 + [1] * 2 + [EXCLUDED]


def test_a_category_without_a_row_to_train_on_is_no_class() -> None:
    labels = merge({("a", "x"): 9, ("a", "y"): 9, ("b",): 9}, train=9)

    assert labels.leaves == (("a", "x"),)
    assert labels.excluded == {("a", "y"): 9, ("b",): 9}


def test_no_products_make_no_classes() -> None:
    assert merge({}).leaves == ()
