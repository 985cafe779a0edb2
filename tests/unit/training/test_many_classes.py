"""With many categories a model goes without trees, says so, and is calibrated all the same."""

from __future__ import annotations

import doctest
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from features.matrix import vectorize
from features.spec import text_spec
from models.bundle import load_bundle
from schemas.columns import PRODUCT
from schemas.errors import SetupError
from tests.unit.training.made_catalog import CATEGORIES, made_products
from training import many_classes
from training.fit import fit_bundle
from training.many_classes import ManyClassesFit, fit_many_classes, hash_bits_for, left_out, rows_to_calibrate
from training.outcomes import as_batch
from training.progress import SilentProgress

PRODUCTS = made_products(600)
N_HELD_OUT = 150


def fit_text(seed: int = 1) -> ManyClassesFit:
    targets = (np.arange(600) % len(CATEGORIES)).astype(np.int32)
    spec = text_spec(())
    return fit_many_classes(
        vectorize(as_batch(PRODUCTS.select(PRODUCT.names)), spec).tokens,
        targets,
        n_held_out=N_HELD_OUT,
        spec=spec,
        n_classes=len(CATEGORIES),
        seed=seed,
        progress=SilentProgress(),
    )


def test_above_the_limit_there_are_no_trees_and_bundle_report_and_result_say_so(tmp_path: Path) -> None:
    result = fit_bundle(
        PRODUCTS,
        profile="text",
        seed=3,
        to=tmp_path / "bundle",
        lineage={},
        progress=SilentProgress(),
        min_products=10,
        target_precision=0.8,
        report_to=tmp_path / "report",
        most_classes_with_trees=4,
    )

    reason = "no trees: 5 categories are more than 4, the text model alone decides"
    assert result.n_trees == 0
    assert result.left_out[0] == reason
    assert result.manifest.metrics["left_out"] == list(result.left_out)
    for file in ("report.html", "model-card.md"):
        assert reason in (tmp_path / "report" / file).read_text()
    assert result.evaluation.accuracy > 0.8
    mean_confidence = sum(one.n * one.confidence for one in result.evaluation.reliability) / result.evaluation.n
    assert abs(mean_confidence - result.evaluation.accuracy) < 0.1
    assert result.choice.coverage > 0.5
    classifier = load_bundle(tmp_path / "bundle")
    decisions = classifier.classify(as_batch(PRODUCTS.select(PRODUCT.names).slice(0, 50)))
    assert decisions["decision"].to_pylist().count("accepted") > 25


def test_up_to_the_limit_nothing_is_left_out() -> None:
    assert left_out(300, most_with_trees=300, hash_bits=18) == ()
    assert len(left_out(301, most_with_trees=300, hash_bits=18)) == 2
    assert "2^15 buckets" in left_out(5_000, most_with_trees=300, hash_bits=hash_bits_for(5_000))[-1]


def test_too_many_categories_for_trees_alone_are_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"5 categories are too many for the classic profile.*--profile text"):
        fit_bundle(
            PRODUCTS,
            profile="classic",
            seed=3,
            to=tmp_path / "bundle",
            lineage={},
            progress=SilentProgress(),
            most_classes_with_trees=4,
        )


def test_classes_fitted_apart_are_the_same_machines_whatever_is_fitted_beside_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(many_classes, "_CLASSES_AT_ONCE", 2)
    apart, again = fit_text(), fit_text()
    assert apart.model.kept_weights().tobytes() == again.model.kept_weights().tobytes()
    assert apart.held_out.tobytes() == again.held_out.tobytes()

    monkeypatch.undo()
    together = fit_text()
    # Each ends when its own classes are fitted well enough: not with the same bits, but with the same answers.
    assert np.mean(apart.held_out.argmax(axis=1) == together.held_out.argmax(axis=1)) > 0.95


def test_held_out_rows_are_scored_by_machines_that_never_saw_them() -> None:
    random = np.random.default_rng(0)
    spec = text_spec(())
    titles = [f"unique{row}" for row in range(600)]  # each row can be learned by heart, and only so
    nothing = {name: pa.nulls(600, pa.string()) for name in ("description", "brand", "subcategory", "seller_id")}
    plain = PRODUCTS.select(PRODUCT.names).to_pydict() | nothing | {"title": titles}
    tokens = vectorize(pa.RecordBatch.from_pydict(plain, schema=PRODUCT), spec).tokens
    targets = random.integers(0, 5, 600).astype(np.int32)
    fitted = fit_many_classes(
        tokens, targets, n_held_out=N_HELD_OUT, spec=spec, n_classes=5, seed=0, progress=SilentProgress()
    )
    by_heart = fitted.model.scores(tokens).argmax(axis=1)
    assert np.mean(by_heart == targets) > 0.95
    assert np.mean(fitted.held_out.argmax(axis=1) == targets[-N_HELD_OUT:]) < 0.4


def test_the_rows_to_calibrate_on_are_bounded_and_spread() -> None:
    assert rows_to_calibrate(np.zeros((10, 3))).tolist() == list(range(10))
    huge = np.broadcast_to(np.float32(0), (100_000, 5_000))
    rows = rows_to_calibrate(huge)
    assert len(rows) * 5_000 <= 1 << 23
    assert (rows[0], rows[-1]) == (0, 99_999)


def test_the_example_in_the_docstring_holds() -> None:
    result = doctest.testmod(many_classes)
    assert (result.attempted > 0, result.failed) == (True, 0)
