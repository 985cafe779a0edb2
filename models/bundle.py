"""A model as a folder: saved whole or not at all, and refused at load if anything about it does not add up.

    manifest.json        what the model is, and the digests of the other files (models.manifest)
    trees.txt            LightGBM's text format; empty if there are no trees
    arrays.safetensors   the text model, the calibration's biases, the self-check's probabilities
    self_check.arrow     a few products, Arrow IPC, `columns.PRODUCT`

Nothing in it is code, and nothing is unpickled. The same content gives the same bytes in every file, but for
`created_at` in the manifest.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version as library_version
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from features.spec import FeatureSpec
from models import bundle_arrays
from models.bundle_arrays import Arrays
from models.calibration import Calibration
from models.classifier import Classifier
from models.manifest import FORMAT_VERSION, MANIFEST, FileEntry, Manifest, plain
from models.self_check import check_products, expected_probabilities, products_to_bytes
from models.taxonomy import Taxonomy
from models.trees import Trees
from schemas.errors import BundleError, SetupError

__all__ = ["Manifest", "load_bundle", "read_manifest", "save_bundle"]

TREES: Final = "trees.txt"
ARRAYS: Final = "arrays.safetensors"
SELF_CHECK: Final = "self_check.arrow"
_FILES: Final = (TREES, ARRAYS, SELF_CHECK)
_REMEDY: Final = "fetch the bundle again or train anew"


def save_bundle(
    classifier: Classifier,
    to: Path,
    *,
    metrics: Mapping[str, object],
    lineage: Mapping[str, object],
    self_check: pa.RecordBatch,
    created_at: datetime,
    target_precision: float | None = None,
) -> Manifest:
    """Write the model to the folder `to`, whole or not at all, and return its manifest.

    It is written beside the target, loaded again as a worker would, and only then moved into place. An existing
    target is replaced if it is a bundle or an empty folder; anything else raises SetupError and is left alone.
    `self_check` (at least one row of `columns.PRODUCT`) are stored with the probabilities they get now.
    `classifier.version` is ignored: the version follows from the content.
    """
    target = to.resolve()
    if target.exists() and not _may_replace(target):
        raise SetupError(f"{to} exists and is not a model bundle: give another folder, or remove it yourself.")
    products, probabilities = expected_probabilities(classifier, self_check)
    arrays = bundle_arrays.from_classifier(classifier)
    contents = {
        TREES: classifier.trees.model_text.encode(),
        ARRAYS: bundle_arrays.to_bytes({**arrays, bundle_arrays.SELF_CHECK: probabilities}),
        SELF_CHECK: products_to_bytes(products),
    }
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        name=classifier.name,
        version=_content_version(classifier, arrays),
        profile=classifier.spec.profile,
        labels=classifier.taxonomy.leaves,
        taxonomy_version=classifier.taxonomy.version,
        feature_spec=classifier.spec.to_json(),
        feature_fingerprint=classifier.feature_fingerprint,
        threshold=float(classifier.threshold),
        target_precision=None if target_precision is None else float(target_precision),
        calibration={
            "temperature": float(classifier.calibration.temperature),
            "class_bias": classifier.calibration.bias is not None,
        },
        metrics=metrics,
        lineage=lineage,
        libraries={name: library_version(name) for name in ("lightgbm", "numba", "numpy", "pyarrow")},
        created_at=created_at.astimezone(UTC).isoformat(),
        files={
            name: FileEntry(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
            for name, content in contents.items()
        },
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}.draft")
    try:
        draft.mkdir()
        for name, content in {**contents, MANIFEST: manifest.to_bytes()}.items():
            _write(draft / name, content)
        load_bundle(draft)
        _move_into_place(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return manifest


def read_manifest(path: Path) -> Manifest:
    """Read only the manifest of a bundle; nothing else of the folder is looked at.

    Raises BundleError if the folder has no manifest, or it is damaged.
    """
    with _named(path):
        return Manifest.from_bytes(_read_file(path / MANIFEST))


def load_bundle(path: Path) -> Classifier:
    """Load a model that is exactly what was saved and that this code computes exactly as it was fitted.

    Raises BundleError, one sentence that names the file and what to do, if a file is missing, changed, added or
    not a regular file; if this code computes other features than the model was fitted on; or if the stored
    products do not get their stored probabilities again.
    """
    manifest = read_manifest(path)
    with _named(path):
        contents = _read_files(path, manifest)
        spec = FeatureSpec.from_json(manifest.feature_spec)
        if spec.fingerprint != manifest.feature_fingerprint:
            raise BundleError(
                f"the features of this program (fingerprint {spec.fingerprint[:12]}) are not those that the model "
                f"was fitted on ({MANIFEST}: {manifest.feature_fingerprint[:12]}): train anew, or use the version "
                "of sortline that wrote the bundle."
            )
        arrays = bundle_arrays.from_bytes(contents[ARRAYS], ARRAYS)
        classifier = _assemble(manifest, spec, arrays, contents[TREES])
        content_version = _content_version(classifier, bundle_arrays.from_classifier(classifier))
        if content_version != manifest.version:
            raise BundleError(
                f"{MANIFEST} says version {manifest.version} and the content is {content_version}: {_REMEDY}."
            )
        check_products(classifier, contents[SELF_CHECK], arrays[bundle_arrays.SELF_CHECK], SELF_CHECK)
        return classifier


def _assemble(manifest: Manifest, spec: FeatureSpec, arrays: Arrays, trees: bytes) -> Classifier:
    taxonomy = Taxonomy(manifest.labels)
    if taxonomy.leaves != manifest.labels or taxonomy.version != manifest.taxonomy_version:
        raise BundleError(f"the labels in {MANIFEST} do not fit its taxonomy_version: {_REMEDY}.")
    if spec.profile != manifest.profile:
        raise BundleError(f"the profile in {MANIFEST} is not that of its feature_spec: {_REMEDY}.")
    temperature = manifest.calibration.get("temperature")
    with_bias = manifest.calibration.get("class_bias")
    if not isinstance(temperature, float) or not isinstance(with_bias, bool):
        raise BundleError(f"the calibration in {MANIFEST} has no temperature and class_bias: {_REMEDY}.")
    bundle_arrays.check_names(arrays, profile=spec.profile, with_bias=with_bias, file=ARRAYS)
    return Classifier(
        name=manifest.name,
        version=manifest.version,
        spec=spec,
        taxonomy=taxonomy,
        text=bundle_arrays.text_model(arrays) if spec.profile == "text" else None,
        trees=Trees(model_text=trees.decode(), n_classes=taxonomy.n_leaves),
        calibration=Calibration(temperature=temperature, bias=bundle_arrays.calibration_bias(arrays)),
        threshold=manifest.threshold,
    )


def _content_version(classifier: Classifier, arrays: Arrays) -> str:
    """Digest all that a decision depends on; not name, metrics, lineage, time of creation or self-check."""
    digest = hashlib.sha256()
    parameters = {
        "feature_spec": classifier.spec.to_json(),
        "labels": classifier.taxonomy.leaves,
        "temperature": float(classifier.calibration.temperature),
        "threshold": float(classifier.threshold),
        "arrays": {name: [str(array.dtype), array.shape] for name, array in arrays.items()},
    }
    digest.update(json.dumps(plain(parameters), sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(np.ascontiguousarray(arrays[name]).data)
    digest.update(classifier.trees.model_text.encode())
    return digest.hexdigest()[:12]


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn whatever is wrong with the bundle at `path` into one BundleError that names it."""
    try:
        yield
    except BundleError as error:
        raise BundleError(f"Bundle {path}: {error}") from error
    except SetupError as error:
        raise BundleError(f"Bundle {path} holds parts that do not fit: {error} {_REMEDY.capitalize()}.") from error
    except (OSError, ValueError) as error:
        raise BundleError(f"Bundle {path} cannot be read ({error}): {_REMEDY}.") from error


def _read_files(path: Path, manifest: Manifest) -> dict[str, bytes]:
    """Return the content of the other files, each the very bytes that the manifest names."""
    if set(manifest.files) != set(_FILES):
        odd = sorted(set(manifest.files) ^ set(_FILES))[0]
        raise BundleError(f"{MANIFEST} lists {odd!r} where a bundle has {', '.join(_FILES)}: {_REMEDY}.")
    if extra := sorted(entry.name for entry in path.iterdir() if entry.name not in (*_FILES, MANIFEST)):
        raise BundleError(f"{extra[0]} does not belong to a bundle: remove it, or {_REMEDY}.")
    contents = {name: _read_file(path / name) for name in _FILES}
    for name, content in contents.items():
        entry = manifest.files[name]
        if len(content) != entry.bytes or hashlib.sha256(content).hexdigest() != entry.sha256:
            raise BundleError(f"{name} is not the file that {MANIFEST} describes (its digest differs): {_REMEDY}.")
    return contents


def _read_file(path: Path) -> bytes:
    """Read a regular file; a link could point anywhere, and to something else a moment later."""
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        raise BundleError(f"{path.name} is missing: {_REMEDY}, or give the folder that holds it.") from error
    if not stat.S_ISREG(mode):
        raise BundleError(f"{path.name} is a link or folder, not a file: put the file itself there.")
    return path.read_bytes()


def _may_replace(target: Path) -> bool:
    """Say whether a folder holds nothing but a bundle of any format version, or nothing at all."""
    if not target.is_dir():
        return False
    names = {entry.name for entry in target.iterdir()}
    if not names:
        return True
    if MANIFEST not in names or not names <= {*_FILES, MANIFEST}:
        return False
    try:
        document = json.loads((target / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and "format_version" in document


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _move_into_place(draft: Path, target: Path) -> None:
    """Rename the draft to the target; what was there is put back if that fails, else removed."""
    if not target.exists():
        draft.rename(target)
        return
    former = target.with_name(f".{target.name}.{secrets.token_hex(4)}.former")
    target.rename(former)
    try:
        draft.rename(target)
    except OSError:
        former.rename(target)
        raise
    shutil.rmtree(former)
