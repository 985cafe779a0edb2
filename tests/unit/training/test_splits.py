from __future__ import annotations

import numpy as np
import pyarrow as pa

from training.splits import CALIBRATE, TEST, TRAIN, assign_folds, assign_parts, groups_of

GROUPS = pa.array([f"title {i % 5000}" for i in range(15_000)])


def test_no_group_is_on_two_sides_of_the_split() -> None:
    parts = assign_parts(GROUPS)

    parts_of_group: dict[str | None, set[int]] = {}
    for group, part in zip(GROUPS.to_pylist(), parts.tolist(), strict=True):
        parts_of_group.setdefault(group, set()).add(part)
    assert {len(of_group) for of_group in parts_of_group.values()} == {1}


def test_parts_have_64_16_and_20_percent_of_the_groups() -> None:
    parts = assign_parts(GROUPS.unique())

    shares = np.bincount(parts, minlength=3) / len(parts)
    np.testing.assert_allclose(shares[[TRAIN, CALIBRATE, TEST]], [0.64, 0.16, 0.20], atol=0.02)


def test_the_part_of_a_product_does_not_depend_on_the_others() -> None:
    alone = [int(assign_parts(GROUPS.slice(row, 1), seed=4)[0]) for row in range(100)]

    assert alone == assign_parts(GROUPS, seed=4)[:100].tolist()


def test_another_seed_gives_another_split() -> None:
    same = np.mean(assign_parts(GROUPS, seed=1) == assign_parts(GROUPS, seed=2))

    assert 0.40 < same < 0.55  # 0.64² + 0.16² + 0.20² = 0.475 by chance


def test_folds_keep_groups_together_and_know_nothing_of_parts() -> None:
    unique = GROUPS.unique()
    folds, parts = assign_folds(unique, 4), assign_parts(unique)

    assert set(folds.tolist()) == {0, 1, 2, 3}
    for part in (TRAIN, CALIBRATE, TEST):
        shares = np.bincount(folds[parts == part], minlength=4) / np.sum(parts == part)
        np.testing.assert_allclose(shares, 0.25, atol=0.06)
    assert assign_folds(GROUPS, 4).tolist() == folds[[i % 5000 for i in range(15_000)]].tolist()


def test_products_without_a_group_are_grouped_by_their_folded_title() -> None:
    titles = ["Acme  Mouse!", "ACME mouse", "Other"]

    assert groups_of(pa.table({"title": titles})).to_pylist() == ["acme mouse", "acme mouse", "other"]
    some = pa.table({"title": titles, "group": pa.array([None, "given", None], pa.string())})
    assert groups_of(some).to_pylist() == ["acme mouse", "given", "other"]
