"""Products of a brand never seen: the trees are not asked, and temperature and threshold are others."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from features.matrix import vectorize
from features.spec import Profile
from models.bundle import load_bundle, read_manifest
from models.calibration import Calibration, TopCurve
from models.caution import Caution
from models.classifier import Classifier
from models.decisions import decide
from models.taxonomy import Taxonomy
from models.thresholds import Thresholds
from schemas import columns
from schemas.errors import SetupError
from tests.tiny_model import fit_tiny_classifier, tiny_products
from tests.unit.models.bundle_changes import refusal, reseal, save

CAUTION = Caution(temperature=0.5, threshold=0.8)


@pytest.fixture
def careful(classifier: Classifier) -> Classifier:
    return dataclasses.replace(classifier, caution=CAUTION)


def both_kinds() -> pa.RecordBatch:
    """Return products in turn of a brand that the tiny model has seen (or of none), and of one that it has not."""
    rows = tiny_products(4).select(columns.PRODUCT.names).to_pylist()
    twins = [row | {"brand": "Zenith"} for row in rows]
    return pa.RecordBatch.from_pylist(
        [row for pair in zip(rows, twins, strict=True) for row in pair], columns.PRODUCT
    )


def test_known_brands_and_products_without_brand_are_decided_as_if_there_were_no_caution(
    classifier: Classifier, careful: Classifier
) -> None:
    known = both_kinds().take(pa.array(range(0, 40, 2)))
    assert None in known["brand"].to_pylist()
    assert careful.classify(known).equals(classifier.classify(known))


def test_for_an_unseen_brand_the_text_decides_alone_where_there_is_text(careful: Classifier) -> None:
    new = both_kinds().take(pa.array(range(1, 40, 2)))
    features = vectorize(new, careful.spec)
    alone = careful.trees.raw_scores(features.dense)
    if careful.text is not None:
        alone = careful.text.scores(features.tokens).astype(np.float64)
    np.testing.assert_array_equal(careful.scores(features), alone)
    np.testing.assert_allclose(
        careful.probabilities(features),
        Calibration(temperature=CAUTION.temperature).probabilities(alone),
        rtol=1e-9,
    )


def test_an_unseen_brand_needs_more_confidence(careful: Classifier) -> None:
    products = both_kinds()
    rows = careful.classify(products).to_pylist()
    for row in rows:
        least = CAUTION.threshold if row["unseen_brand"] else careful.thresholds.pooled
        assert (row["decision"] != "review") == (row["confidence"] >= least)
    assert [row["unseen_brand"] for row in rows] == [False, True] * 20


def test_the_threshold_of_unseen_brands_never_lowers_that_of_all(classifier: Classifier) -> None:
    strict = Thresholds.equal(0.9, len(classifier.taxonomy.nodes))
    lax = dataclasses.replace(classifier, thresholds=strict, caution=Caution(temperature=1.0, threshold=0.1))
    for row in lax.classify(both_kinds()).to_pylist():
        assert (row["decision"] != "review") == (row["confidence"] >= 0.9)


def test_a_batch_is_its_rows_alone(careful: Classifier) -> None:
    products = both_kinds()
    together = careful.classify(products)
    for row in range(products.num_rows):
        assert careful.classify(products.slice(row, 1)).equals(together.slice(row, 1))


def test_a_curve_fitted_on_known_brands_leaves_products_of_others_alone(careful: Classifier) -> None:
    curve = TopCurve(a=0.5, b=0.5, shift=0.0)
    curved = dataclasses.replace(careful, calibration=dataclasses.replace(careful.calibration, top_curve=curve))
    features = vectorize(both_kinds(), careful.spec)
    is_new = np.array([row["unseen_brand"] for row in careful.classify(both_kinds()).to_pylist()], np.bool_)
    plain, bent = careful.probabilities(features), curved.probabilities(features)
    assert is_new.any()
    assert np.array_equal(bent[is_new], plain[is_new])
    assert (bent[~is_new].max(axis=1) < plain[~is_new].max(axis=1)).all()


def test_floors_are_thresholds_of_single_rows() -> None:
    taxonomy = Taxonomy((("A", "x"), ("A", "y"), ("B",)))
    random = np.random.default_rng(1)
    probabilities = random.dirichlet(np.full(3, 0.7), 200)
    floors = random.choice([0.0, 0.3, 0.7, 0.95, 1.0], 200)
    ids = pa.array([str(row) for row in range(200)])
    found = decide(ids, probabilities, taxonomy, np.full(4, 0.5), floors)
    for row in range(200):
        thresholds = np.full(4, max(0.5, floors[row]))
        alone = decide(ids[row : row + 1], probabilities[row : row + 1], taxonomy, thresholds)
        assert found.slice(row, 1).equals(alone)


def test_a_bundle_keeps_the_caution_and_its_version_tells_of_it(tmp_path: Path, profile: Profile) -> None:
    plain = fit_tiny_classifier(profile)
    careful = dataclasses.replace(plain, caution=CAUTION)
    versions = [save(plain, tmp_path / "plain").version, save(careful, tmp_path / "careful").version]
    assert len(set(versions)) == 2
    loaded = load_bundle(tmp_path / "careful")
    assert loaded.caution == CAUTION
    assert loaded.classify(both_kinds()).equals(careful.classify(both_kinds()))
    assert load_bundle(tmp_path / "plain").caution is None


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"temperature": 0.5, "threshold": 0.9}, "says version"),
        (None, "says version"),
        ({"temperature": 0.5}, "unseen brands"),
        ({"temperature": 0.5, "threshold": "0.8"}, "unseen brands"),
        ({"temperature": 0.0, "threshold": 0.8}, "unseen brands"),
        ("careful", "unseen brands"),
    ],
)
def test_another_caution_than_was_saved_is_refused(tmp_path: Path, document: object, sentence: str) -> None:
    folder = tmp_path / "b"
    save(dataclasses.replace(fit_tiny_classifier("classic"), caution=CAUTION), folder)
    changed = {**read_manifest(folder).calibration, "unseen_brand": document}
    reseal(folder, lambda manifest: dataclasses.replace(manifest, calibration=changed))
    assert sentence in refusal(folder)


@pytest.mark.parametrize(
    "numbers",
    [(0.0, 0.5), (-1.0, 0.5), (math.inf, 0.5), (math.nan, 0.5), (1.0, 1.1), (1.0, -0.1), (1.0, math.nan)],
)
def test_numbers_that_are_none_are_refused(numbers: tuple[float, float]) -> None:
    with pytest.raises(SetupError, match="unseen brands"):
        Caution(temperature=numbers[0], threshold=numbers[1])


def test_caution_needs_to_know_what_was_seen() -> None:
    with pytest.raises(SetupError, match="which brands it has seen"):
        dataclasses.replace(fit_tiny_classifier("classic"), familiarity=None, caution=CAUTION)
