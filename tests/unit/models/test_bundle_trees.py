"""Compiled trees in a bundle: checked against the text and what LightGBM gave, or passed over with a reason."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from safetensors.numpy import load_file, save_file

from features.matrix import vectorize
from models.bit_vectors import BitVectors
from models.bundle import load_bundle
from models.classifier import Classifier
from models.trees import Trees
from schemas.errors import SetupError
from tests.tiny_model import build_tiny_bundle, fit_tiny_classifier
from tests.unit.models.bundle_changes import COMPILED, refusal, reseal, save


def test_a_bundle_without_compiled_trees_loads_and_compiles_them(
    copy: Path, bundle: Path, classifier: Classifier, products: pa.RecordBatch
) -> None:
    (copy / COMPILED).unlink()
    reseal(copy, lambda manifest: manifest)
    loaded = load_bundle(copy)
    assert loaded.trees.scorer == "bit-vectors"
    assert loaded.version == load_bundle(bundle).version
    assert loaded.classify(products).equals(load_bundle(bundle).classify(products))
    features = vectorize(products, loaded.spec)
    assert np.array_equal(loaded.scores(features), classifier.scores(features))


def test_compiled_trees_of_another_layout_are_compiled_anew(copy: Path) -> None:
    save_file({"layout": np.array([99], np.int64)}, copy / COMPILED)
    reseal(copy, lambda manifest: manifest)
    assert load_bundle(copy).trees.scorer == "bit-vectors"


def test_compiled_trees_that_score_differently_are_passed_over_and_lightgbm_scores(
    copy: Path, classifier: Classifier, products: pa.RecordBatch
) -> None:
    arrays = load_file(copy / COMPILED)
    arrays["leaves"] = np.nextafter(arrays["leaves"], 1)  # by one bit
    save_file(arrays, copy / COMPILED)
    reseal(copy, lambda manifest: manifest)
    loaded = load_bundle(copy)
    assert loaded.trees.scorer == "lightgbm"
    assert loaded.trees.fallback_reason == "the stored rows get other scores than LightGBM gave them"
    features = vectorize(products, loaded.spec)
    assert np.array_equal(loaded.scores(features), classifier.scores(features))


def test_compiled_trees_that_are_not_those_of_the_text_are_refused(copy: Path) -> None:
    good = load_file(copy / COMPILED)
    for name, array in (
        ("source", good["source"] ^ 1),
        ("shape", good["shape"][:1]),
        ("check.rows", good["leaves"]),
    ):
        save_file({**good, name: array}, copy / COMPILED)
        reseal(copy, lambda manifest: manifest)
        assert COMPILED in refusal(copy)
    for name in good:
        save_file({key: array for key, array in good.items() if key != name}, copy / COMPILED)
        reseal(copy, lambda manifest: manifest)
        assert name in refusal(copy)


def test_a_model_without_trees_has_no_compiled_ones(tmp_path: Path) -> None:
    model = dataclasses.replace(fit_tiny_classifier(), trees=Trees(model_text="", n_classes=5))
    save(model, tmp_path / "b")
    assert not (tmp_path / "b" / COMPILED).exists()
    assert load_bundle(tmp_path / "b").trees.scorer == "none"


def test_trees_that_lightgbm_scores_differently_are_not_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = fit_tiny_classifier("classic")
    exact = BitVectors.raw_scores

    def inexact(trees: BitVectors, dense: npt.NDArray[np.float32], **options: int) -> npt.NDArray[np.float64]:
        return np.nextafter(exact(trees, dense, **options), 9)

    monkeypatch.setattr(BitVectors, "raw_scores", inexact)
    with pytest.raises(SetupError, match="other scores than LightGBM"):
        save(model, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_worker_with_compiled_trees_never_imports_lightgbm(tmp_path: Path) -> None:
    bundle = build_tiny_bundle(tmp_path / "b")
    program = (
        "import sys; from pathlib import Path; from models.bundle import load_bundle;"
        "loaded = load_bundle(Path(sys.argv[1]));"
        "print(loaded.trees.scorer, 'lightgbm' in sys.modules, 'sklearn' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(bundle)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["bit-vectors", "False", "False"]
