"""Saving and loading: the same model comes back, and anything else is refused."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import load_file, save_file

from features.matrix import vectorize
from features.spec import Profile
from models.bundle import load_bundle, read_manifest
from models.bundle_folder import replace_folder
from models.calibration import Calibration, TopCurve
from models.classifier import Classifier
from models.manifest import FileEntry
from models.taxonomy import Taxonomy
from models.thresholds import Thresholds
from models.trees import Trees
from schemas.errors import SetupError
from tests.tiny_model import build_tiny_bundle, fit_tiny_classifier, tiny_products
from tests.unit.models.bundle_changes import FILES, refusal, reseal, save


def test_a_loaded_model_gives_bit_identical_results(
    bundle: Path, classifier: Classifier, products: pa.RecordBatch
) -> None:
    loaded = load_bundle(bundle)
    features = vectorize(products, loaded.spec)
    assert np.array_equal(loaded.scores(features), classifier.scores(features))
    assert np.array_equal(loaded.probabilities(features), classifier.probabilities(features))
    assert loaded.classify(products).equals(classifier.classify(products))
    assert (loaded.name, loaded.taxonomy) == ("tiny", classifier.taxonomy)
    assert np.array_equal(loaded.thresholds.nodes, classifier.thresholds.nodes)
    assert loaded.thresholds.pooled == classifier.thresholds.pooled


def test_the_manifest_says_what_the_model_is(bundle: Path, profile: Profile) -> None:
    manifest = read_manifest(bundle)
    loaded = load_bundle(bundle)
    assert manifest.profile == profile
    assert manifest.version == loaded.version
    assert re.fullmatch("[0-9a-f]{12}", manifest.version)
    assert manifest.labels == loaded.taxonomy.leaves
    assert manifest.taxonomy_version == loaded.taxonomy.version
    assert manifest.feature_fingerprint == loaded.feature_fingerprint
    assert manifest.metrics == {"accuracy": 1.0}
    assert manifest.lineage == {"source": "tests"}
    assert manifest.target_precision == 0.95
    assert set(manifest.libraries) >= {"lightgbm", "numpy", "sortline"}
    assert manifest.created_at == "2026-01-01T00:00:00+00:00"
    assert sorted(path.name for path in bundle.iterdir()) == sorted(FILES)


@pytest.mark.parametrize("class_bias", [False, True])
def test_the_same_content_gives_the_same_bytes_but_for_the_time(
    tmp_path: Path, profile: Profile, class_bias: bool
) -> None:
    model = fit_tiny_classifier(profile, class_bias=class_bias)
    later = datetime(2026, 5, 1, tzinfo=timezone(timedelta(hours=2)))
    one = save(model, tmp_path / "one")
    two = save(fit_tiny_classifier(profile, class_bias=class_bias), tmp_path / "two", created_at=later)
    assert one.version == two.version
    for name in FILES[1:]:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    documents = [json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("one", "two")]
    assert {key for key in documents[0] if documents[0][key] != documents[1][key]} == {"created_at", "seal"}
    assert documents[1]["created_at"] == "2026-04-30T22:00:00+00:00"
    bias = load_bundle(tmp_path / "one").calibration.bias
    assert (bias is not None) == class_bias


def test_how_the_self_check_batch_was_cut_does_not_change_the_bytes(tmp_path: Path) -> None:
    model = fit_tiny_classifier("classic")
    rows = tiny_products(rows_per_category=2)
    save(model, tmp_path / "one", self_check=rows.slice(3, 4))
    save(model, tmp_path / "two", self_check=rows.take(pa.array([3, 4, 5, 6])))
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_the_version_follows_everything_that_a_decision_depends_on(tmp_path: Path) -> None:
    model = fit_tiny_classifier()
    assert model.text is not None
    renamed = Taxonomy(tuple((*leaf[:-1], leaf[-1] + "!") for leaf in model.taxonomy.leaves))
    weights = model.text.kept_weights()
    weights[0, 0] += 1e-6
    others = {
        "thresholds": dataclasses.replace(model, thresholds=Thresholds.equal(0.61, len(model.taxonomy.nodes))),
        "pooled": dataclasses.replace(model, thresholds=Thresholds(nodes=model.thresholds.nodes, pooled=0.7)),
        "curve": dataclasses.replace(model, calibration=Calibration(top_curve=TopCurve(a=1.0, b=0.9, shift=0.0))),
        "temperature": dataclasses.replace(model, calibration=Calibration(temperature=1.01)),
        "bias": dataclasses.replace(model, calibration=Calibration(bias=np.zeros(5))),
        "labels": dataclasses.replace(
            model, taxonomy=renamed, thresholds=Thresholds.equal(0.6, len(renamed.nodes))
        ),
        "weights": dataclasses.replace(model, text=dataclasses.replace(model.text, weights=weights)),
        "trees": dataclasses.replace(model, trees=Trees(model_text="", n_classes=5)),
        "spec": dataclasses.replace(model, spec=dataclasses.replace(model.spec, categorical_buckets=999)),
    }
    versions = {name: save(other, tmp_path / name).version for name, other in others.items()}
    plain = save(model, tmp_path / "plain").version
    assert len({plain, *versions.values()}) == len(others) + 1
    same = save(dataclasses.replace(model, name="other", version="v9"), tmp_path / "same", metrics={}, lineage={})
    assert same.version == plain


def test_metrics_that_are_no_numbers_are_null(tmp_path: Path) -> None:
    metrics = {
        "ece": float("nan"),
        "accuracy": np.float64(0.5),
        "rows": np.int64(3),
        "curve": np.array([0.5, np.inf]),
    }
    save(fit_tiny_classifier("classic"), tmp_path / "b", metrics=metrics)
    assert read_manifest(tmp_path / "b").metrics == {"ece": None, "accuracy": 0.5, "rows": 3, "curve": [0.5, None]}


def test_a_bundle_is_replaced_by_a_bundle(tmp_path: Path) -> None:
    first = save(fit_tiny_classifier("classic"), tmp_path / "b")
    second = save(fit_tiny_classifier("classic", threshold=0.7), tmp_path / "b")
    assert first.version != second.version
    assert load_bundle(tmp_path / "b").version == second.version
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_an_empty_folder_may_become_a_bundle(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    save(fit_tiny_classifier("classic"), tmp_path / "b")
    load_bundle(tmp_path / "b")


@pytest.mark.parametrize("what", ["file", "folder", "bundle with notes", "other manifest"])
def test_what_is_no_bundle_is_not_replaced(tmp_path: Path, what: str) -> None:
    target = tmp_path / "b"
    if what == "file":
        target.write_text("mine")
    else:
        target.mkdir()
        (target / "manifest.json").write_text('{"format_version": 1}' if what == "bundle with notes" else "[]")
        if what != "other manifest":
            (target / "notes.txt").write_text("mine")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(SetupError, match="is not a model bundle"):
        save(fit_tiny_classifier("classic"), target)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_a_failed_save_leaves_the_old_bundle_and_nothing_else(tmp_path: Path) -> None:
    first = save(fit_tiny_classifier("classic"), tmp_path / "b")
    with pytest.raises(TypeError):
        save(fit_tiny_classifier("classic", threshold=0.7), tmp_path / "b", metrics={"a": object()})
    no_products = tiny_products().slice(0, 0)
    with pytest.raises(SetupError, match="at least one"):
        save(fit_tiny_classifier("classic", threshold=0.7), tmp_path / "b", self_check=no_products)
    assert load_bundle(tmp_path / "b").version == first.version
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_what_was_there_is_put_back_if_the_new_folder_cannot_be_moved(tmp_path: Path) -> None:
    target = tmp_path / "b"
    target.mkdir()
    (target / "old").write_text("old")
    with pytest.raises(FileNotFoundError):
        replace_folder(target, {"new": b"new"}, check=shutil.rmtree)
    assert (target / "old").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_model_with_a_broken_number_is_not_saved(tmp_path: Path) -> None:
    model = fit_tiny_classifier()
    assert model.text is not None
    weights = np.full_like(model.text.kept_weights(), 3e38)
    broken = dataclasses.replace(model, text=dataclasses.replace(model.text, weights=weights))
    with pytest.raises(SetupError, match="not a number"), np.errstate(all="ignore"):
        save(broken, tmp_path / "b")


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte_is_noticed_wherever_it_is(copy: Path, name: str) -> None:
    content = (copy / name).read_bytes()
    for at in np.linspace(0, len(content) - 1, 25, dtype=int):
        damaged = bytearray(content)
        damaged[at] ^= 1
        (copy / name).write_bytes(damaged)
        assert name in refusal(copy)
    (copy / name).write_bytes(content)
    load_bundle(copy)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_or_cut_file_is_named(copy: Path, name: str) -> None:
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[:-1])
    assert name in refusal(copy)
    (copy / name).write_bytes(content + b"\n")
    assert name in refusal(copy)
    (copy / name).unlink()
    assert f"{name} is missing" in refusal(copy)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "manifest.json is missing" in refusal(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["notes.txt", ".hidden", "trees.txt.bak"])
def test_an_added_file_is_named(copy: Path, name: str) -> None:
    (copy / name).write_text("mine")
    assert f"{name} does not belong to a bundle" in refusal(copy)


@pytest.mark.parametrize("name", FILES)
def test_a_link_in_place_of_a_file_is_refused(copy: Path, name: str, tmp_path: Path) -> None:
    (copy / name).rename(tmp_path / name)
    (copy / name).symlink_to(tmp_path / name)
    assert f"{name} is a link or folder" in refusal(copy)


def test_a_bundle_may_be_reached_through_a_link_to_its_folder(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(bundle)
    assert load_bundle(tmp_path / "current").name == "tiny"


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "sub/trees.txt", "code.py"])
def test_a_path_in_the_manifest_that_is_no_file_of_a_bundle_is_refused(copy: Path, name: str) -> None:
    entry = FileEntry(sha256="0" * 64, bytes=1)
    reseal(copy, lambda manifest: dataclasses.replace(manifest, files={**manifest.files, name: entry}))
    assert f"lists {name!r}" in refusal(copy)
    reseal(copy, lambda manifest: dataclasses.replace(manifest, files={name: entry}))
    assert "manifest.json lists" in refusal(copy)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"feature_fingerprint": "0" * 64}, "train anew, or use the version of sortline"),
        ({"version": "0" * 12}, "says version 000000000000"),
        ({"thresholds": {"pooled": 0.1}}, "thresholds in manifest.json are not those"),
        ({"calibration": {"temperature": 2.0, "class_bias": False}}, "says version"),
        ({"calibration": {"temperature": 1.0, "class_bias": False, "top_curve": [1.0, 0.9, 0.0]}}, "says version"),
        ({"calibration": {"temperature": 1.0, "class_bias": False, "top_curve": [1.0]}}, "no three numbers"),
        ({"calibration": {}}, "no temperature"),
        ({"calibration": {"temperature": 0.0, "class_bias": False}}, "temperature"),
        ({"calibration": {"temperature": 1.0, "class_bias": True}}, "calibration.bias"),
        ({"taxonomy_version": "0" * 12}, "taxonomy_version"),
        ({"labels": (("a",), ("b",))}, "taxonomy_version"),
        ({"labels": ()}, "at least one category"),
        ({"feature_spec": {}}, "lacks the field"),
        ({"format_version": 3}, "has format_version 3 and this program reads 4: train again"),
        ({"profile": "other"}, "known are text and classic"),
    ],
)
def test_an_edited_manifest_is_refused_even_if_it_is_sealed_again(
    copy: Path, change: dict[str, object], sentence: str
) -> None:
    reseal(copy, lambda manifest: dataclasses.replace(manifest, **change))  # type: ignore[arg-type]  # wrong on purpose
    assert sentence in refusal(copy)


def test_labels_in_another_order_are_refused_though_they_are_the_same_set(copy: Path) -> None:
    reseal(copy, lambda manifest: dataclasses.replace(manifest, labels=manifest.labels[::-1]))
    assert "taxonomy_version" in refusal(copy)


def test_a_manifest_of_the_other_profile_is_refused(copy: Path, profile: Profile) -> None:
    other: Profile = "classic" if profile == "text" else "text"
    reseal(copy, lambda manifest: dataclasses.replace(manifest, profile=other))
    assert "profile" in refusal(copy)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b"null", b'{"format_version": 1}', b'{"format_version": 1, "seal": 3}', b"\xff" * 9],
)
def test_a_manifest_that_is_none_is_refused(copy: Path, content: bytes) -> None:
    (copy / "manifest.json").write_bytes(content)
    assert "manifest.json" in refusal(copy)


def test_a_manifest_edited_by_hand_is_refused_down_to_a_blank(copy: Path) -> None:
    text = (copy / "manifest.json").read_text()
    (copy / "manifest.json").write_text(text.replace('"tiny"', '"huge"'))
    assert "was changed after it was written" in refusal(copy)
    (copy / "manifest.json").write_text(text.replace("\n  ", "\n ", 1))
    assert "was changed after it was written" in refusal(copy)


def test_a_model_that_computes_something_else_is_refused(copy: Path) -> None:
    """As on a machine whose libraries round differently: everything is as it was saved, but for the results."""
    arrays = load_file(copy / "arrays.safetensors")
    arrays["self_check.probabilities"][0] += [1e-5, -1e-5, 0, 0, 0]
    save_file({name: arrays[name] for name in sorted(arrays)}, copy / "arrays.safetensors")
    reseal(copy, lambda manifest: manifest)
    assert "self_check.arrow get other probabilities than when the bundle was made (off by 1e-05)" in refusal(copy)


def test_arrays_that_a_model_lacks_or_has_too_many_are_named(copy: Path) -> None:
    arrays = load_file(copy / "arrays.safetensors")
    save_file({**arrays, "text.more": np.zeros(1)}, copy / "arrays.safetensors")
    reseal(copy, lambda manifest: manifest)
    assert "'text.more'" in refusal(copy)


@pytest.mark.parametrize("name", FILES[1:])
def test_a_file_of_another_kind_is_refused_even_if_the_manifest_knows_it(copy: Path, name: str) -> None:
    (copy / name).write_bytes(b"\0hello")
    reseal(copy, lambda manifest: manifest)
    assert "train anew" in refusal(copy) or "fetch the bundle again" in refusal(copy)


def test_self_check_rows_that_are_no_products_are_refused(copy: Path) -> None:
    with pa.ipc.new_file(str(copy / "self_check.arrow"), pa.schema({"a": pa.int64()})) as writer:
        writer.write_batch(pa.record_batch({"a": [1]}))
    reseal(copy, lambda manifest: manifest)
    assert "self_check.arrow does not hold products" in refusal(copy)


def test_the_tiny_bundle_is_the_same_every_time(bundle: Path, tmp_path: Path, profile: Profile) -> None:
    again = build_tiny_bundle(tmp_path / "again", profile)
    assert [(again / name).read_bytes() for name in FILES] == [(bundle / name).read_bytes() for name in FILES]
