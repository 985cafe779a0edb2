"""What every model must do, whatever its profile."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest

from features.matrix import vectorize
from features.spec import Profile, classic_spec
from models.calibration import Calibration
from models.classifier import Classifier
from models.taxonomy import Taxonomy
from models.thresholds import Thresholds
from models.trees import Trees
from schemas import columns, stages
from schemas.errors import SetupError
from schemas.stages import StageClock
from tests.tiny_model import fit_tiny_classifier, tiny_products


def products_of(*rows: Mapping[str, object]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(rows), columns.PRODUCT)


def test_the_rows_it_was_fitted_on_get_their_categories(classifier: Classifier) -> None:
    labelled = tiny_products()
    decisions = classifier.classify(labelled)
    assert decisions.schema == columns.DECISION
    decisions.validate(full=True)
    assert decisions["product_id"].equals(labelled["product_id"])
    right = [
        a == b
        for a, b in zip(decisions["category_path"].to_pylist(), labelled["category_path"].to_pylist(), strict=True)
    ]
    assert np.mean(right) > 0.95


def test_a_batch_is_bit_for_bit_its_rows_alone(classifier: Classifier, products: pa.RecordBatch) -> None:
    together = classifier.probabilities(vectorize(products, classifier.spec))
    decisions = classifier.classify(products)
    for row in range(products.num_rows):
        one = products.slice(row, 1)
        assert np.array_equal(classifier.probabilities(vectorize(one, classifier.spec))[0], together[row])
        assert classifier.classify(one).equals(decisions.slice(row, 1))


def test_the_order_of_rows_does_not_matter(classifier: Classifier, products: pa.RecordBatch) -> None:
    order = np.random.default_rng(5).permutation(products.num_rows)
    turned = classifier.classify(products.take(order))
    assert turned.equals(classifier.classify(products).take(pa.array(order, pa.int64())))


def test_the_order_of_columns_does_not_matter(classifier: Classifier, products: pa.RecordBatch) -> None:
    turned = products.select(products.schema.names[::-1])
    assert classifier.classify(turned).equals(classifier.classify(products))


def test_probabilities_add_up_to_one(classifier: Classifier, products: pa.RecordBatch) -> None:
    probabilities = classifier.probabilities(vectorize(products, classifier.spec))
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    assert (probabilities >= 0).all()


def test_a_product_with_a_title_and_nothing_else_is_decided(classifier: Classifier) -> None:
    decisions = classifier.classify(
        products_of(
            *({"product_id": str(i), "title": title} for i, title in enumerate(["kettle", "", "\0", "🫖" * 9999]))
        )
    )
    assert decisions.num_rows == 4
    assert np.isfinite(decisions["confidence"].to_numpy()).all()


def test_no_products_give_no_decisions(classifier: Classifier) -> None:
    assert classifier.classify(products_of()).num_rows == 0


def test_classifying_changes_nothing(classifier: Classifier, products: pa.RecordBatch) -> None:
    before = products.to_pylist()
    first = classifier.classify(products)
    assert products.to_pylist() == before
    assert classifier.classify(products).equals(first)


def test_threads_do_not_disturb_each_other(classifier: Classifier, products: pa.RecordBatch) -> None:
    expected = classifier.classify(products)
    with ThreadPoolExecutor(4) as pool:
        assert all(found.equals(expected) for found in pool.map(classifier.classify, [products] * 16))


def test_the_same_products_give_the_same_model(
    classifier: Classifier, profile: Profile, products: pa.RecordBatch
) -> None:
    again = fit_tiny_classifier(profile)
    assert again.classify(products).equals(classifier.classify(products))


@pytest.mark.parametrize("column", ["product_id", "title", "price_minor"])
def test_a_batch_without_a_needed_column_is_refused(
    classifier: Classifier, products: pa.RecordBatch, column: str
) -> None:
    with pytest.raises(SetupError, match=column):
        classifier.classify(products.drop_columns(column))


def test_the_three_decisions_all_happen() -> None:
    model = fit_tiny_classifier()
    titles = ("electric kettle", "headphones speakers", "something entirely different")
    decisions = model.classify(products_of(*({"product_id": title, "title": title} for title in titles)))
    assert decisions["decision"].to_pylist() == ["accepted", "backed_off", "review"]
    assert decisions["category_path"].to_pylist()[:2] == [["Home", "Kitchen", "Kettles"], ["Audio"]]


def test_a_single_category_is_certain() -> None:
    model = Classifier(
        name="one",
        spec=classic_spec(()),
        taxonomy=Taxonomy((("only",),)),
        text=None,
        trees=Trees(model_text="", n_classes=1),
        calibration=Calibration(),
        thresholds=Thresholds.equal(0.9, 1),
    )
    decisions = model.classify(products_of({"product_id": "1", "title": "anything"}))
    assert decisions["confidence"].to_pylist() == [1.0]
    assert decisions["decision"].to_pylist() == ["accepted"]


def test_parts_that_do_not_fit_together_are_refused() -> None:
    text = fit_tiny_classifier()
    classic = fit_tiny_classifier("classic")
    assert text.text is not None
    with pytest.raises(SetupError, match="goes with"):
        dataclasses.replace(text, text=None)
    with pytest.raises(SetupError, match="goes with"):
        dataclasses.replace(classic, text=text.text)
    with pytest.raises(SetupError, match="classes"):
        dataclasses.replace(text, taxonomy=Taxonomy((("a",), ("b",))))
    with pytest.raises(SetupError, match="trees score"):
        dataclasses.replace(text, trees=Trees(model_text="", n_classes=3))
    with pytest.raises(SetupError, match="blocks"):
        dataclasses.replace(text, spec=dataclasses.replace(text.spec, blocks=text.spec.blocks[:2]))
    with pytest.raises(SetupError, match="19 dense features, not 3"):
        dataclasses.replace(classic, spec=dataclasses.replace(classic.spec, dense=classic.spec.dense[:3]))
    with pytest.raises(SetupError, match="2 biases"):
        dataclasses.replace(classic, calibration=Calibration(bias=np.zeros(2)))
    with pytest.raises(SetupError, match="3 thresholds do not fit"):
        dataclasses.replace(classic, thresholds=Thresholds.equal(0.5, 3))


def test_a_clock_gets_every_stage_and_changes_nothing(classifier: Classifier, products: pa.RecordBatch) -> None:
    ticks = iter(range(1000))
    clock = StageClock(lambda: next(ticks))
    clock.start()
    assert classifier.classify(products, clock).equals(classifier.classify(products))
    assert list(clock.nanoseconds) == [
        stages.NGRAMS,
        stages.DENSE,
        stages.TREES,
        stages.TEXT_MODEL,
        stages.DECIDE,
    ]
    assert sum(clock.nanoseconds.values()) == next(ticks) - 1
