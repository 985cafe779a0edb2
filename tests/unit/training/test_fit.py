from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from features.matrix import vectorize
from features.spec import Profile, TextBlock
from models.bundle import load_bundle
from schemas.columns import PRODUCT
from schemas.errors import BundleError, SetupError
from tests.unit.training.made_catalog import CATEGORIES, made_products
from training.catalog import content_digest
from training.evaluation import evaluate_classifier
from training.fit import TrainingResult, fit_bundle
from training.outcomes import as_batch
from training.progress import SilentProgress
from training.splits import CALIBRATE, TEST, TRAIN, assign_parts, groups_of

PRODUCTS = made_products(400)


def fit(products: pa.Table, to: Path, *, profile: Profile = "text", seed: int = 3, **more: Any) -> TrainingResult:
    return fit_bundle(
        products,
        profile=profile,
        seed=seed,
        to=to,
        min_products=10,
        target_precision=0.9,
        lineage={"source": "test"},
        tracking_uri=None,
        **{"progress": SilentProgress(), **more},
    )


def contents(bundle: Path) -> dict[str, bytes]:
    """Every file of a bundle; the manifest without its time and the seal over it."""
    files = {file.name: file.read_bytes() for file in sorted(bundle.iterdir())}
    manifest = json.loads(files["manifest.json"])
    del manifest["created_at"], manifest["seal"]
    return files | {"manifest.json": json.dumps(manifest).encode()}


@pytest.mark.parametrize("profile", ["text", "classic"])
def test_the_same_products_and_seed_give_the_same_bundle(profile: Profile, tmp_path: Path) -> None:
    fit(PRODUCTS, tmp_path / "a", profile=profile)
    superseded = made_products(400, seed=1).slice(0, 50)
    shuffled = PRODUCTS.take(np.random.default_rng(0).permutation(400))
    fit(pa.concat_tables([superseded, shuffled]), tmp_path / "b", profile=profile)

    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    fit(PRODUCTS, tmp_path / "c", profile=profile, seed=4)
    assert contents(tmp_path / "a") != contents(tmp_path / "c")


def test_a_model_learns_and_says_how_well(tmp_path: Path) -> None:
    result = fit(PRODUCTS, tmp_path / "bundle")

    assert result.rows.keys() == {"train", "calibrate", "test"}
    assert sum(result.rows.values()) == 400
    assert result.evaluation.n == result.rows["test"]
    assert result.evaluation.accuracy > 0.8  # one title in ten names another category
    assert result.choice.precision >= 0.9
    test = PRODUCTS.filter(pa.array(assign_parts(groups_of(PRODUCTS), seed=3) == TEST))
    loaded = load_bundle(tmp_path / "bundle")
    assert evaluate_classifier(loaded, test).summary() == result.evaluation.summary()
    assert loaded.version == result.manifest.version
    assert loaded.taxonomy.leaves == tuple(sorted(CATEGORIES))


def test_the_text_model_knows_the_words_of_the_calibrate_part_and_not_those_of_the_test_part(
    tmp_path: Path,
) -> None:
    marked = PRODUCTS.set_column(1, "title", pa.array([f"mark{row} {row % 5}" for row in range(400)]))
    fit(marked, tmp_path / "bundle")
    classifier = load_bundle(tmp_path / "bundle")
    assert classifier.text is not None
    parts = assign_parts(groups_of(marked), seed=3)

    def share_known(part: int) -> float:
        words = replace(classifier.spec, blocks=(TextBlock(field="title", kind="word", shortest=1, longest=1),))
        products = as_batch(marked.filter(pa.array(parts == part)).select(PRODUCT.names))
        tokens = vectorize(products, words).tokens
        marks = tokens.buckets[tokens.indptr[:-1]]
        return float(np.isin(marks, classifier.text.buckets).mean()) if classifier.text else 0.0

    assert share_known(TRAIN) == share_known(CALIBRATE) == 1
    assert share_known(TEST) < 0.2  # chance: other n-grams fall into the same buckets


def test_what_can_only_be_learned_by_heart_is_not_published(tmp_path: Path) -> None:
    titles = pa.array([f"unique{row}" for row in range(400)])
    random = np.random.default_rng(5).integers(0, 5, 400)
    paths = pa.array([list(list(CATEGORIES)[k]) for k in random], PRODUCTS.schema.field("category_path").type)
    columns = {"title": titles, "category_path": paths}
    products = PRODUCTS
    for name in ("title", "category_path", "description", "brand", "seller_id"):
        place = products.schema.get_field_index(name)
        products = products.set_column(place, name, columns.get(name, pa.nulls(400, pa.string())))
    result = fit(products, tmp_path / "bundle")

    assert result.choice.coverage == 0
    assert result.evaluation.ece < 0.2


def test_the_manifest_says_what_the_model_was_trained_on(tmp_path: Path) -> None:
    manifest = fit(PRODUCTS, tmp_path / "bundle").manifest

    assert manifest.lineage == {
        "source": "test",
        "content_digest": content_digest(PRODUCTS),
        "rows": 400,
        "seed": 3,
        "min_products": 10,
    }
    assert manifest.target_precision == 0.9


def test_a_small_category_is_trained_as_its_parent(tmp_path: Path) -> None:
    small = made_products(20).to_pylist()[:4]
    rows = [row | {"product_id": f"x{i}", "category_path": ["Audio", "tuner"]} for i, row in enumerate(small)]
    result = fit(pa.concat_tables([PRODUCTS, pa.Table.from_pylist(rows, PRODUCTS.schema)]), tmp_path / "bundle")

    assert result.labels.merged == {("Audio", "tuner"): ("Audio",)}
    assert ("Audio",) in result.manifest.labels
    assert ("Audio", "tuner") not in result.manifest.labels


def test_a_category_that_is_too_small_to_train_is_reported_and_left_out(tmp_path: Path) -> None:
    row = PRODUCTS.slice(0, 1).to_pylist()[0] | {"product_id": "alone", "category_path": ["Oddities"]}
    result = fit(pa.concat_tables([PRODUCTS, pa.Table.from_pylist([row], PRODUCTS.schema)]), tmp_path / "bundle")

    assert result.labels.excluded == {("Oddities",): 1}
    assert ("Oddities",) not in result.manifest.labels


def test_too_few_categories_or_products_are_refused_with_what_is_needed(tmp_path: Path) -> None:
    one = PRODUCTS.filter(pa.array([row % 5 == 0 for row in range(400)]))

    with pytest.raises(SetupError, match="80 products in 1 categories"):
        fit(one, tmp_path / "bundle")
    with pytest.raises(SetupError, match="two categories"):
        fit(PRODUCTS.slice(0, 0), tmp_path / "bundle")
    same_title = PRODUCTS.set_column(1, "title", pa.array(["same"] * 400))
    with pytest.raises(SetupError, match=r"in 1 groups of the same title|categories that can be trained"):
        fit(same_title, tmp_path / "bundle")
    with pytest.raises(SetupError, match="no column product_id"):
        fit(PRODUCTS.drop_columns(["product_id"]), tmp_path / "bundle")
    with pytest.raises(SetupError, match="no column category_path"):
        fit(PRODUCTS.drop_columns(["category_path"]), tmp_path / "bundle")
    assert not list(tmp_path.iterdir())


def test_training_that_is_interrupted_leaves_what_was_there(tmp_path: Path) -> None:
    fit(PRODUCTS, tmp_path / "bundle")
    before = contents(tmp_path / "bundle")

    class Impatient(SilentProgress):
        def step(self, name: str, total: int | None = None) -> None:
            if name == "Writing the bundle":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(PRODUCTS, tmp_path / "bundle", seed=8, progress=Impatient())
    assert contents(tmp_path / "bundle") == before
    assert [file.name for file in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize("profile", ["text", "classic"])
def test_a_handful_of_products_is_enough_to_start(profile: Profile, tmp_path: Path) -> None:
    result = fit(made_products(60), tmp_path / "bundle", profile=profile)

    assert load_bundle(tmp_path / "bundle").version == result.manifest.version


def test_a_report_is_written_and_compares_with_the_bundle_that_is_replaced(tmp_path: Path) -> None:
    first = fit(PRODUCTS, tmp_path / "bundle", profile="classic", report_to=tmp_path / "first")
    second = fit(PRODUCTS, tmp_path / "bundle", profile="classic", seed=4, report_to=tmp_path / "second")

    assert first.report == tmp_path / "first"
    alone, compared = (json.loads((tmp_path / name / "report.json").read_text()) for name in ("first", "second"))
    assert alone["comparison"] is None
    assert alone["evaluation"]["accuracy"] == first.evaluation.accuracy
    assert alone["manifest"]["version"] == first.manifest.version
    comparison = compared["comparison"]
    assert comparison["champion"] == f"sortline {first.manifest.version}"
    assert comparison["candidate"] == f"sortline {second.manifest.version}"
    groups = groups_of(PRODUCTS)
    is_test = [assign_parts(groups, seed=seed) == TEST for seed in (3, 4)]
    assert comparison["n"] == (is_test[0] & is_test[1]).sum()
    assert comparison["n_set_aside"] == (is_test[1] & ~is_test[0]).sum()
    assert "different seeds" in compared["comparison_note"]
    assert "Comparison" in (tmp_path / "second" / "report.html").read_text()


def test_a_damaged_bundle_can_be_replaced_and_the_report_says_why_there_is_no_comparison(tmp_path: Path) -> None:
    fit(PRODUCTS, tmp_path / "bundle", profile="classic")
    (tmp_path / "bundle" / "trees.txt").write_text("damaged")
    fit(PRODUCTS, tmp_path / "bundle", profile="classic", report_to=tmp_path / "report")

    document = json.loads((tmp_path / "report" / "report.json").read_text())
    assert document["comparison"] is None
    assert "trees.txt" in document["comparison_note"]


def test_a_bundle_to_compare_with_that_does_not_load_stops_before_training(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="manifest"):
        fit(PRODUCTS, tmp_path / "bundle", report_to=tmp_path / "report", compare_with=tmp_path / "nothing-here")
    assert not (tmp_path / "bundle").exists()
