"""Bit vectors against LightGBM, bit for bit: over fitted models, and over trees that no fit would give."""

from __future__ import annotations

import dataclasses
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
import pytest

from models.bit_vector_compiler import compile_trees
from models.bit_vectors import BitVectors
from models.tree_text import read_header, read_trees
from models.trees import TREES_PER_SUM, Trees
from schemas.errors import SetupError

N_FEATURES = 5
#: Doubles at which comparisons go wrong if a number is rounded, or zero and missing are taken for one another.
EDGES = (
    0.0,
    -0.0,
    1e-36,
    -1e-36,
    1e-35,
    1.1e-35,
    -1.1e-35,
    5e-324,
    0.1,
    float(np.float32(0.1)),
    1e300,
    -1e300,
    2.5,
)
ODD = (np.nan, np.inf, -np.inf, 2.0**31, -(2.0**31), -0.5, -1.0, 31.0, 32.0, 63.0, 64.0, 3e9)


def compiled(text: str) -> BitVectors:
    return compile_trees(read_header(text), read_trees(text))


def rows_for(text: str, *, n: int, seed: int) -> npt.NDArray[np.float64]:
    """Rows of thresholds, their neighbours as float32 and as double, and odd numbers."""
    random = np.random.default_rng(seed)
    asked = np.concatenate([tree.thresholds for tree in read_trees(text)] + [np.array(EDGES)])
    near = [asked, np.nextafter(asked, np.inf), np.nextafter(asked, -np.inf)]
    with np.errstate(over="ignore"):
        single = asked.astype(np.float32)
        near += [single, np.nextafter(single, np.float32(np.inf)), np.nextafter(single, np.float32(-np.inf))]
    values = np.concatenate([*(array.astype(np.float64) for array in near), np.repeat(ODD, 1 + len(asked) // 10)])
    return random.choice(values, (n, read_header(text).n_features))


def single_precision(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what is too large becomes infinite
        return rows.astype(np.float32)


def assert_same_bits(text: str, rows: npt.NDArray[np.float64]) -> None:
    """Compare with one `predict` of LightGBM, for float32 and float64 rows, many at once and one by one."""
    trees = compiled(text)
    booster = lightgbm.Booster(model_str=text)
    for dense in (single_precision(rows), rows):
        expected = np.reshape(booster.predict(dense, raw_score=True, num_threads=1), (len(rows), trees.n_classes))
        found = trees.raw_scores(dense, iterations_per_sum=trees.n_trees)
        assert np.array_equal(found, expected)
        alone = [trees.raw_scores(dense[i : i + 1], iterations_per_sum=trees.n_trees)[0] for i in range(8)]
        assert np.array_equal(alone, expected[:8])


@pytest.mark.parametrize(
    "parameters",
    [
        {"num_leaves": 15},
        {"num_leaves": 31, "zero_as_missing": True},
        {"num_leaves": 64, "min_data_in_leaf": 1, "max_bin": 1023, "min_data_in_bin": 1},
        {"num_leaves": 16, "use_missing": False},
        {"num_leaves": 33, "max_depth": 8, "extra_trees": True, "boosting": "dart"},
        {"num_leaves": 2, "num_class": 7},
    ],
)
@pytest.mark.parametrize("grouped", [[], [0, 3]])
def test_fitted_trees_score_as_lightgbm_does(parameters: dict[str, Any], grouped: list[int]) -> None:
    random = np.random.default_rng(len(parameters) + len(grouped))
    n_classes = parameters.get("num_class", 3)
    dense = random.normal(size=(900, N_FEATURES))
    dense[:, 0] = random.integers(0, 70, 900)
    dense[:, 3] = random.integers(0, 5, 900)
    dense[random.random(dense.shape) < 0.15] = 0
    dense[random.random(dense.shape) < 0.15] = np.nan
    classes = (np.nan_to_num(dense[:, 0]) + np.nan_to_num(dense[:, 1] * 3)).astype(int) % n_classes
    booster = lightgbm.train(
        {
            "objective": "multiclass",
            "num_class": n_classes,
            "verbosity": -1,
            "num_threads": 1,
            "cat_smooth": 1,
            "min_data_per_group": 5,
            "max_cat_to_onehot": 2,
            **parameters,
        },
        lightgbm.Dataset(dense, classes, categorical_feature=grouped),
        num_boost_round=6,
    )
    text = Trees.from_booster(booster, n_classes=n_classes).model_text
    trees = read_trees(text)
    assert any(tree.sets for tree in trees) == bool(grouped)
    rows = rows_for(text, n=700, seed=1)
    rows[:300] = dense[:300]
    assert_same_bits(text, rows)
    assert Trees(model_text=text, n_classes=n_classes).scorer == "bit-vectors"


@pytest.mark.parametrize("seed", range(8))
def test_made_up_trees_score_as_lightgbm_does(seed: int) -> None:
    """All kinds of missing, all default directions, sets of categories, one leaf to 64, in any shape of tree."""
    random = np.random.default_rng(seed)
    n_leaves = [1, *random.integers(2, 65, 6), (2, 16, 17, 32, 33, 64, 1, 15)[seed]]
    text = model_text([made_up_tree(random, int(n)) for n in n_leaves], n_classes=2)
    assert_same_bits(text, rows_for(text, n=650, seed=seed))


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", [0, 2, 4, 6, 8, 10])
def test_a_tree_that_is_a_list_of_64_leaves_scores_as_lightgbm_does(side: str, kind: int) -> None:
    random = np.random.default_rng(kind)
    tree = made_up_tree(random, 64, shape=side)
    tree["decision_type"] = np.full(63, kind)
    tree["threshold"] = random.choice(EDGES, 63)
    text = model_text([{**tree, "num_cat": 0}], n_classes=1)
    assert_same_bits(text, rows_for(text, n=200, seed=kind))


def test_iterations_are_added_up_in_chunks_and_the_chunks_after_that() -> None:
    random = np.random.default_rng(3)
    text = model_text([made_up_tree(random, 9) for _ in range(3 * 150)], n_classes=3)
    trees = Trees(model_text=text, n_classes=3)
    dense = single_precision(rows_for(text, n=50, seed=4))
    booster = lightgbm.Booster(model_str=text)
    step = TREES_PER_SUM // 3
    expected = np.zeros((50, 3))
    for start in range(0, 150, step):
        expected += np.asarray(
            booster.predict(dense, raw_score=True, start_iteration=start, num_iteration=step, num_threads=1)
        )
    assert trees.scorer == "bit-vectors"
    assert np.array_equal(trees.raw_scores(dense), expected)
    assert np.array_equal([trees.raw_scores(row[None])[0] for row in dense], expected)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 63, 64, 65, 511, 512, 513, 1100])
def test_how_a_batch_is_cut_and_laid_out_does_not_matter(n: int) -> None:
    random = np.random.default_rng(5)
    trees = compiled(model_text([made_up_tree(random, 20) for _ in range(6)], n_classes=2))
    rows = random.normal(size=(1100, N_FEATURES)).astype(np.float32)
    whole = trees.raw_scores(rows, iterations_per_sum=2)
    part = rows[:n]
    part.setflags(write=False)
    assert np.array_equal(trees.raw_scores(part, iterations_per_sum=2), whole[:n])
    assert np.array_equal(trees.raw_scores(np.asfortranarray(part), iterations_per_sum=2), whole[:n])
    whole_numbers = (part * 10).astype(np.int32)
    expected = trees.raw_scores(whole_numbers.astype(np.float64), iterations_per_sum=2)
    assert np.array_equal(trees.raw_scores(whole_numbers, iterations_per_sum=2), expected)  # type: ignore[arg-type]  # integers are taken, too


def test_rows_of_another_width_are_refused() -> None:
    trees = compiled(model_text([made_up_tree(np.random.default_rng(1), 5)], n_classes=1))
    for shape in ((3, N_FEATURES - 1), (3, N_FEATURES + 1), (N_FEATURES,)):
        with pytest.raises(SetupError, match="5 features"):
            trees.raw_scores(np.zeros(shape, np.float32), iterations_per_sum=1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"is_linear": 1}, "linear"),
        ({"n_leaves": 65}, "65 leaves"),
        ({"n_leaves": 200}, "200 leaves"),
        ({"header": "average_output"}, "averaged"),
    ],
)
def test_what_bit_vectors_cannot_hold_is_scored_by_lightgbm_and_says_why(
    change: dict[str, Any], reason: str
) -> None:
    random = np.random.default_rng(2)
    made = made_up_tree(random, change.get("n_leaves", 5))
    if "is_linear" in change:
        made |= {"is_linear": 1, "leaf_const": made["leaf_value"], "num_features": np.zeros(5, np.int64)}
        made |= {"leaf_features": np.zeros(0, np.int64), "leaf_coeff": np.zeros(0)}
    text = model_text([made], n_classes=1, header=change.get("header"))
    trees = Trees(model_text=text, n_classes=1)
    assert trees.scorer == "lightgbm"
    assert trees.fallback_reason is not None
    assert reason in trees.fallback_reason
    assert trees.compile(np.zeros((1, N_FEATURES), np.float32)) is None
    dense = random.normal(size=(40, N_FEATURES)).astype(np.float32)
    expected = lightgbm.Booster(model_str=text).predict(dense, raw_score=True)
    assert np.array_equal(trees.raw_scores(dense)[:, 0], np.asarray(expected))


def test_linear_leaves_as_lightgbm_fits_them_are_left_to_it() -> None:
    dense = np.random.default_rng(1).normal(size=(300, 3))
    booster = lightgbm.train(
        {"objective": "binary", "linear_tree": True, "num_leaves": 4, "verbosity": -1, "num_threads": 1},
        lightgbm.Dataset(dense, dense[:, 0] > 0),
        num_boost_round=2,
    )
    trees = Trees.from_booster(booster, n_classes=1)
    assert (trees.scorer, trees.fallback_reason) == ("lightgbm", "their leaves are linear functions")


def test_compiled_trees_need_no_lightgbm(monkeypatch: pytest.MonkeyPatch) -> None:
    text = model_text([made_up_tree(np.random.default_rng(s), 12) for s in range(4)], n_classes=2)
    trees = Trees(model_text=text, n_classes=2)
    kept = trees.compile(np.zeros((1, N_FEATURES), np.float32))
    monkeypatch.setitem(__import__("sys").modules, "lightgbm", None)  # to import it now is an error
    again = Trees(model_text=text, n_classes=2, compiled=kept)
    rows = rows_for(text, n=100, seed=1)
    assert np.array_equal(again.raw_scores(rows), trees.raw_scores(rows))
    assert (again.scorer, again.fallback_reason, again.n_trees) == ("bit-vectors", None, 4)
    with pytest.raises(ImportError):
        Trees(model_text=text, n_classes=2)


def test_compiled_trees_that_score_differently_are_not_used() -> None:
    text = model_text([made_up_tree(np.random.default_rng(s), 12) for s in range(4)], n_classes=2)
    kept = Trees(model_text=text, n_classes=2).compile(np.zeros((1, N_FEATURES), np.float32))
    assert kept is not None
    leaves = np.nextafter(kept.bit_vectors.leaves, np.inf)  # by one bit
    wrong = dataclasses.replace(kept, bit_vectors=dataclasses.replace(kept.bit_vectors, leaves=leaves))
    trees = Trees(model_text=text, n_classes=2, compiled=wrong)
    assert trees.scorer == "lightgbm"
    assert trees.fallback_reason == "the stored rows get other scores than LightGBM gave them"
    rows = rows_for(text, n=100, seed=1)
    assert np.array_equal(trees.raw_scores(rows), Trees(model_text=text, n_classes=2).raw_scores(rows))


def test_a_compiler_that_errs_is_noticed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    text = model_text([made_up_tree(np.random.default_rng(s), 12) for s in range(4)], n_classes=2)

    def err(header: Any, trees: Any) -> BitVectors:
        good = compile_trees(header, trees)
        return dataclasses.replace(good, test_bins=np.maximum(good.test_bins, 1) - 1)

    monkeypatch.setattr("models.trees.compile_trees", err)
    trees = Trees(model_text=text, n_classes=2)
    assert (trees.scorer, trees.fallback_reason) == (
        "lightgbm",
        "the bit vectors give other scores than LightGBM",
    )


def test_compiled_trees_of_other_trees_are_refused() -> None:
    texts = [
        model_text([made_up_tree(np.random.default_rng(s), 12) for s in range(n)], n_classes=2) for n in (2, 4)
    ]
    kept = Trees(model_text=texts[0], n_classes=2).compile(np.zeros((1, N_FEATURES), np.float32))
    with pytest.raises(SetupError, match="not those of the text"):
        Trees(model_text=texts[1], n_classes=2, compiled=kept)


@pytest.mark.parametrize(
    ("name", "at", "value"),
    [
        ("test_columns", 0, 99),
        ("test_columns", 0, -1),
        ("column_features", 0, N_FEATURES),
        ("column_kinds", 0, 9),
        ("column_bounds", (0, 1), 10**6),
        ("column_bounds", (0, 0), -1),
        ("test_masks", 0, 0),
        ("set_masks", 0, 1),
        ("set_tables", 0, 10**6),
        ("table_columns", 0, 7),
        ("category_features", 0, -3),
        ("category_limits", 0, 2**20),
        ("leaf_starts", -1, 10**6),
        ("leaf_starts", 1, 0),
        ("test_starts", 1, 10**6),
        ("tree_tables", 1, -1),
        ("set_starts", -1, 0),
    ],
)
def test_arrays_that_would_lead_a_kernel_astray_are_refused(name: str, at: Any, value: int) -> None:
    trees = compiled(model_text([made_up_tree(np.random.default_rng(s), 20) for s in range(3)], n_classes=1))
    arrays = {key: array.copy() for key, array in trees.arrays().items()}
    BitVectors.from_arrays(arrays, n_classes=1, n_features=N_FEATURES)
    arrays[name][at] = value
    with pytest.raises(SetupError, match="damaged"):
        BitVectors.from_arrays(arrays, n_classes=1, n_features=N_FEATURES)


def test_arrays_of_other_names_types_or_lengths_are_refused() -> None:
    trees = compiled(model_text([made_up_tree(np.random.default_rng(s), 20) for s in range(3)], n_classes=1))
    arrays = trees.arrays()
    wrong: list[dict[str, Any]] = [
        {name: array for name, array in arrays.items() if name != "leaves"},
        {**arrays, "more": arrays["leaves"]},
        {**arrays, "leaves": arrays["leaves"].astype(np.float32)},
        {**arrays, "leaves": arrays["leaves"][:, None]},
        {**arrays, "test_bins": arrays["test_bins"][:-1]},
        {**arrays, "set_masks": arrays["set_masks"].astype(np.uint16)},
        {**arrays, "column_bounds": arrays["column_bounds"][:-1]},
    ]
    for changed in wrong:
        with pytest.raises(SetupError, match="compiled trees"):
            BitVectors.from_arrays(changed, n_classes=1, n_features=N_FEATURES)
    with pytest.raises(SetupError, match="multiple"):
        BitVectors.from_arrays(arrays, n_classes=2, n_features=N_FEATURES)


@pytest.mark.parametrize(
    ("found", "put"),
    [
        ("left_child=", "left_child=0 "),
        ("leaf_value=", "leaf_value=1 "),
        ("split_feature=", "split_feature=7000 "),
        ("threshold=", "threshold=x "),
        ("num_leaves=20", "num_leaves=xx"),
        ("cat_boundaries=0", "cat_boundaries=1"),
        ("num_cat=", "num_dog="),
    ],
)
def test_a_damaged_tree_is_refused_by_the_reader(found: str, put: str) -> None:
    made = made_up_tree(np.random.default_rng(1), 20)
    assert made["num_cat"]
    body = tree_section(0, made)
    assert found in body
    text = whole_text([body.replace(found, put, 1)], n_classes=1)
    with pytest.raises(SetupError, match="damaged"):
        compiled(text)


def made_up_tree(random: np.random.Generator, n_leaves: int, *, shape: str = "any") -> dict[str, Any]:
    """Split leaves at random (or always the first or last one), with any test that LightGBM knows."""
    left, right = np.full(n_leaves - 1, -1), np.full(n_leaves - 1, -1)
    # As LightGBM does: node i splits a leaf; its left part keeps the leaf's number, the right one gets the next.
    place: dict[int, tuple[npt.NDArray[np.int64], int]] = {}
    for node in range(n_leaves - 1):
        leaf = {"left": 0, "right": node, "any": int(random.integers(node + 1))}[shape]
        if leaf in place:
            children, at = place[leaf]
            children[at] = node
        left[node], right[node] = ~leaf, ~(node + 1)
        place[leaf], place[node + 1] = (left, node), (right, node)
    is_set = random.random(n_leaves - 1) < 0.25
    thresholds = random.choice([*EDGES, *random.normal(size=9)], n_leaves - 1)
    thresholds[is_set] = np.arange(is_set.sum())
    sizes = random.integers(1, 4, is_set.sum())
    return {
        "num_cat": int(is_set.sum()),
        "split_feature": random.integers(0, N_FEATURES, n_leaves - 1),
        "threshold": thresholds,
        "decision_type": np.where(is_set, 1, random.choice([0, 2, 4, 6, 8, 10], n_leaves - 1)),
        "left_child": left,
        "right_child": right,
        "leaf_value": random.normal(size=n_leaves) * 10.0 ** random.integers(-12, 3, n_leaves),
        "cat_boundaries": np.concatenate([[0], np.cumsum(sizes)]),
        "cat_threshold": random.integers(0, 2**32, sizes.sum()),
    }


def tree_section(number: int, made: dict[str, Any]) -> str:
    lines = [f"Tree={number}", f"num_leaves={len(made['leaf_value'])}"]
    for name, value in made.items():
        if isinstance(value, int):
            lines.append(f"{name}={value}")
        elif made["num_cat"] or not name.startswith("cat_"):
            lines.append(f"{name}={' '.join(repr(number) for number in value.tolist())}")
    return "\n".join([*lines, "shrinkage=1", "", "", ""])


def whole_text(sections: list[str], *, n_classes: int, header: str | None = None) -> str:
    lines = ["tree", "version=v4", f"num_class={n_classes}", f"num_tree_per_iteration={n_classes}"]
    lines += ["label_index=0", f"max_feature_idx={N_FEATURES - 1}", *([header] if header else [])]
    lines += [f"feature_names={' '.join(f'f{i}' for i in range(N_FEATURES))}"]
    lines += [f"feature_infos={' '.join(['none'] * N_FEATURES)}"]
    lines += [f"tree_sizes={' '.join(str(len(section)) for section in sections)}", "", ""]
    return "\n".join(lines) + "".join(sections) + "end of trees\n"


def model_text(made: list[dict[str, Any]], *, n_classes: int, header: str | None = None) -> str:
    sections = [tree_section(number, tree) for number, tree in enumerate(made)]
    return whole_text(sections, n_classes=n_classes, header=header)
