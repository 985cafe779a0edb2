"""What catalogues are like: columns missing, rows repeated, titles of every kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from models.bundle import load_bundle
from models.classifier import Classifier
from schemas.columns import PRODUCT
from schemas.errors import SetupError
from tests.unit.training.made_catalog import made_products
from training.fit import TrainingResult, fit_bundle
from training.progress import SilentProgress

N_ROWS = 300
PRODUCTS = made_products(N_ROWS)
REQUIRED = ("product_id", "title", "category_path")


def fit(products: pa.Table, to: Path) -> TrainingResult:
    return fit_bundle(
        products, profile="text", seed=3, to=to, lineage={}, progress=SilentProgress(), min_products=10
    )


def with_titles(products: pa.Table, title: Callable[[str], str]) -> pa.Table:
    place = products.schema.get_field_index("title")
    titles = [title(str(one)) for one in products["title"].to_pylist()]
    return products.set_column(place, products.schema.field(place), pa.array(titles, pa.string()))


def decisions(classifier: Classifier, products: pa.Table) -> pa.RecordBatch:
    (batch,) = products.select(PRODUCT.names).combine_chunks().to_batches()
    return classifier.classify(batch)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    to = tmp_path_factory.mktemp("robust") / "bundle"
    fit(PRODUCTS, to)
    return load_bundle(to)


def test_the_order_of_columns_and_rows_and_repeated_rows_make_no_other_model(
    classifier: Classifier, tmp_path: Path
) -> None:
    shuffled = PRODUCTS.take(np.random.default_rng(2).permutation(N_ROWS)).select(PRODUCTS.column_names[::-1])
    result = fit(pa.concat_tables([shuffled, shuffled.slice(0, 50)]), tmp_path / "bundle")

    assert result.manifest.version == classifier.version


@pytest.mark.parametrize("missing", [name for name in PRODUCT.names if name not in REQUIRED])
def test_a_field_that_no_product_has_does_not_stop_classification(classifier: Classifier, missing: str) -> None:
    place = PRODUCTS.schema.get_field_index(missing)
    field = PRODUCTS.schema.field(place)
    without = PRODUCTS.set_column(place, field, pa.nulls(N_ROWS, field.type))

    confidence = decisions(classifier, without)["confidence"].to_numpy()
    assert np.isfinite(confidence).all()
    assert ((confidence > 0) & (confidence <= 1)).all()


def test_titles_and_labels_alone_are_enough_to_train(tmp_path: Path) -> None:
    columns = [
        PRODUCTS[field.name] if field.name in REQUIRED else pa.nulls(N_ROWS, field.type)
        for field in PRODUCTS.schema
    ]
    result = fit(pa.Table.from_arrays(columns, schema=PRODUCTS.schema), tmp_path / "bundle")

    assert result.evaluation.accuracy > 0.7


@pytest.mark.parametrize("change", [str.upper, str.lower, str.title])
def test_capital_letters_change_no_decision(classifier: Classifier, change: Callable[[str], str]) -> None:
    assert decisions(classifier, with_titles(PRODUCTS, change)).equals(decisions(classifier, PRODUCTS))


@pytest.mark.parametrize(
    "title",
    [
        "หูฟังไร้สาย",
        "वायरलेस हेडफ़ोन",
        "ワイヤレスイヤホン ﾍｯﾄﾞﾎﾝ",
        "سماعات لاسلكية",
        "Беспроводные наушники",
        "e\u0301cran e\u0300 \u0308",
        "\u200b\u200d\u202e",
        "👩‍👩‍👧 🎧",
        "--- !!!",
        "x" * 10_000,
        "word " * 2_000,
    ],
)
def test_titles_of_any_script_and_length_get_a_decision(classifier: Classifier, title: str) -> None:
    found = decisions(classifier, with_titles(PRODUCTS.slice(0, 3), lambda _: title))

    assert found.num_rows == 3
    assert np.isfinite(found["confidence"].to_numpy()).all()


def test_very_long_titles_can_be_trained_on(tmp_path: Path) -> None:
    long = with_titles(PRODUCTS.slice(0, 100), lambda title: f"{title} {'filler ' * 1_400}")

    assert fit(long, tmp_path / "bundle").rows["train"] > 0


def test_products_of_a_single_title_are_refused_for_that_reason(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="300 products in 1 groups of the same title are too few to split"):
        fit(with_titles(PRODUCTS, lambda _: "same"), tmp_path / "bundle")


def test_two_products_a_category_train_a_model_that_publishes_nothing(tmp_path: Path) -> None:
    rows = [row | {"category_path": [f"c{i // 2}"]} for i, row in enumerate(PRODUCTS.to_pylist())]
    result = fit(pa.Table.from_pylist(rows, PRODUCTS.schema), tmp_path / "bundle")

    assert result.choice.not_published
    assert result.evaluation.coverage == 0
