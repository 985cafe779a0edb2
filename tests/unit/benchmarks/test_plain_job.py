"""The peers' model and features are the project's: otherwise the benchmark compares different work."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.peers.plain_features import PlainFeatures
from benchmarks.peers.plain_model import PlainModel, export
from features.matrix import vectorize
from models.caution import Caution
from models.classifier import Classifier
from schemas import columns
from tests.tiny_model import fit_tiny_classifier, tiny_products

#: Every way through the text rule: letters that fold, marks, invisible characters, digits, symbols, none at all.
TITLES = (
    "NEW pro Kettle_1.7 l",
    "Straße ẞ ﬁne Ⅷ №7 Café-Crème",
    "กุ้งแม่น้ำ हिन्दी İstanbul Οδυσσεύς",
    "a\u200db soft\u00adhyphen \ufe0f한국어 ½",
    "---",
    "x",
    "１２３ 𝐁𝐨𝐥𝐝 ȺȾ sale sale",
)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    model = fit_tiny_classifier(threshold=0.55, class_bias=True)
    return replace(model, caution=Caution(temperature=0.5, threshold=0.7))


def products() -> pa.RecordBatch:
    tiny = tiny_products().select(columns.PRODUCT.names).to_pylist()
    strange = [{**tiny[i], "product_id": f"s-{i}", "title": title} for i, title in enumerate(TITLES)]
    strange += [
        {**tiny[7], "currency": currency, "price_minor": 5_000} for currency in ("JPY", "KWD", "CLF", None)
    ]
    strange += [{**row, "product_id": f"new-{row['product_id']}", "brand": "Zenith"} for row in tiny[:20]]
    return pa.RecordBatch.from_pylist([*tiny, *strange], columns.PRODUCT)


def rows(batch: pa.RecordBatch) -> list[Any]:
    return [SimpleNamespace(**row) for row in batch.to_pylist()]


def test_plain_features_are_those_of_the_project(classifier: Classifier) -> None:
    batch = products()
    expected = vectorize(batch, classifier.spec)
    plain = PlainFeatures(classifier.spec.to_json())
    tokens, dense = zip(*(plain.of(row) for row in rows(batch)), strict=True)
    np.testing.assert_array_equal(np.array(dense, np.float32), expected.dense)
    blocks = [block for row in tokens for block in row]
    assert [bucket for block in blocks for bucket in block] == expected.tokens.buckets.tolist()
    assert [count for block in blocks for count in block.values()] == expected.tokens.counts.tolist()
    assert np.cumsum([0, *map(len, blocks)]).tolist() == expected.tokens.indptr.tolist()


def test_the_plain_model_decides_as_the_bundle_does(classifier: Classifier, tmp_path: Path) -> None:
    batch = products()
    model = PlainModel(export(classifier, tmp_path / "plain"))
    plain = PlainFeatures(model.spec)
    tokens, dense = zip(*(plain.of(row) for row in rows(batch)), strict=True)
    found = model.decide(tokens, dense, [plain.brand_of(row) for row in rows(batch)])
    expected = classifier.classify(batch).to_pylist()
    assert {row["decision"] for row in expected} == {"accepted", "backed_off", "review"}
    assert [one.decision for one in found] == [row["decision"] for row in expected]
    assert [one.path for one in found] == [row["category_path"] for row in expected]
    np.testing.assert_allclose(
        [one.confidence for one in found], [row["confidence"] for row in expected], atol=1e-6
    )
    assert [[path for path, _ in one.alternatives] for one in found] == [
        [alternative["category_path"] for alternative in row["alternatives"]] for row in expected
    ]


def test_one_event_alone_is_decided_as_in_a_batch(classifier: Classifier, tmp_path: Path) -> None:
    model = PlainModel(export(classifier, tmp_path / "plain"))
    plain = PlainFeatures(model.spec)
    features = [plain.of(row) for row in rows(products())[:8]]
    brands = [plain.brand_of(row) for row in rows(products())[:8]]
    together = model.decide([tokens for tokens, _ in features], [dense for _, dense in features], brands)
    alone = [
        model.decide([tokens], [dense], [brand])[0]
        for (tokens, dense), brand in zip(features, brands, strict=True)
    ]
    assert [one.path for one in alone] == [one.path for one in together]


def test_a_model_without_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="profile text"):
        export(fit_tiny_classifier("classic"), tmp_path)
