"""A model as a folder: saved whole or not at all, and refused at load if anything about it does not add up.

    manifest.json        what the model is, and the digests of the other files (models.manifest)
    trees.txt            LightGBM's text format; empty if there are no trees
    arrays.safetensors   the text model, the calibration's biases, the thresholds, the self-check's probabilities,
                         and hashes of what was seen in training (models.familiarity)
    self_check.arrow     a few products, Arrow IPC, `columns.PRODUCT`
    compiled_trees.safetensors   the trees as bit vectors, with LightGBM's scores of some rows
                         (models.bundle_trees); absent if LightGBM has to score them itself

Nothing in it is code, and nothing is unpickled. The same content gives the same bytes in every file, but for
`created_at` in the manifest.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version as library_version
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.matrix import vectorize
from features.spec import FeatureSpec
from models import bundle_arrays, bundle_trees
from models.bundle_arrays import Arrays
from models.bundle_folder import REMEDY, check_target, read_file, read_files, replace_folder
from models.calibration import Calibration, TopCurve
from models.caution import Caution
from models.classifier import Classifier
from models.manifest import FORMAT_VERSION, MANIFEST, FileEntry, Json, Manifest, plain
from models.self_check import check_products, expected_probabilities, products_to_bytes
from models.taxonomy import Taxonomy
from models.trees import Trees
from schemas.errors import BundleError, SetupError

__all__ = ["Manifest", "load_bundle", "read_manifest", "save_bundle"]

TREES: Final = "trees.txt"
ARRAYS: Final = "arrays.safetensors"
SELF_CHECK: Final = "self_check.arrow"
COMPILED: Final = "compiled_trees.safetensors"
FILES: Final = (TREES, ARRAYS, SELF_CHECK)
"""What every bundle has."""
KNOWN_FILES: Final = (*FILES, COMPILED)
"""What a bundle may have."""
_MADE_WITH: Final = ("lightgbm", "numba", "numpy", "pyarrow", "sortline")


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
    `classifier.version` is ignored: the version follows from the content. The trees are scored by LightGBM, too,
    on these products and on rows made for it; SetupError if the bit vectors score anything differently.
    """
    check_target(to, KNOWN_FILES)
    products, probabilities = expected_probabilities(classifier, self_check)
    compiled = classifier.trees.compile(vectorize(products, classifier.spec).dense)
    arrays = bundle_arrays.from_classifier(classifier)
    contents = {
        TREES: classifier.trees.model_text.encode(),
        ARRAYS: bundle_arrays.to_bytes({**arrays, bundle_arrays.SELF_CHECK: probabilities}),
        SELF_CHECK: products_to_bytes(products),
    }
    if compiled is not None:
        contents[COMPILED] = bundle_trees.to_bytes(compiled, classifier.trees.model_text)
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        name=classifier.name,
        version=_content_version(classifier, arrays),
        profile=classifier.spec.profile,
        labels=classifier.taxonomy.leaves,
        taxonomy_version=classifier.taxonomy.version,
        feature_spec=classifier.spec.to_json(),
        feature_fingerprint=classifier.feature_fingerprint,
        thresholds=classifier.thresholds.summary(),
        target_precision=None if target_precision is None else float(target_precision),
        calibration={
            "temperature": float(classifier.calibration.temperature),
            "class_bias": classifier.calibration.bias is not None,
            "top_curve": _curve_numbers(classifier.calibration),
            "unseen_brand": None if classifier.caution is None else asdict(classifier.caution),
        },
        metrics=metrics,
        lineage=lineage,
        libraries={name: library_version(name) for name in _MADE_WITH},
        created_at=created_at.astimezone(UTC).isoformat(),
        files={
            name: FileEntry(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
            for name, content in contents.items()
        },
    )
    replace_folder(to, {**contents, MANIFEST: manifest.to_bytes()}, check=load_bundle)
    return manifest


def read_manifest(path: Path) -> Manifest:
    """Read only the manifest of a bundle; nothing else of the folder is looked at.

    Raises BundleError if the folder has no manifest, or it is damaged.
    """
    with _named(path):
        return Manifest.from_bytes(read_file(path / MANIFEST))


def load_bundle(path: Path) -> Classifier:
    """Load a model that is exactly what was saved and that this code computes exactly as it was fitted.

    Raises BundleError, one sentence that names the file and what to do, if a file is missing, changed, added or
    not a regular file; if this code computes other features than the model was fitted on; or if the stored
    products do not get their stored probabilities again.

    LightGBM is imported only for trees that it has to score itself (`Trees.fallback_reason` says why), and to
    check a bundle that has no compiled trees.
    """
    manifest = read_manifest(path)
    with _named(path):
        names = bundle_files(manifest)
        contents = read_files(path, manifest.files, names)
        spec = FeatureSpec.from_json(manifest.feature_spec)
        if spec.fingerprint != manifest.feature_fingerprint:
            raise BundleError(
                f"the features of this program (fingerprint {spec.fingerprint[:12]}) are not those that the model "
                f"was fitted on ({MANIFEST}: {manifest.feature_fingerprint[:12]}): train anew, or use the version "
                "of sortline that wrote the bundle."
            )
        arrays = bundle_arrays.from_bytes(contents[ARRAYS], ARRAYS)
        classifier = _assemble(manifest, spec, arrays, contents)
        content_version = _content_version(classifier, bundle_arrays.from_classifier(classifier))
        if content_version != manifest.version:
            raise BundleError(
                f"{MANIFEST} says version {manifest.version} and the content is {content_version}: {REMEDY}."
            )
        check_products(classifier, contents[SELF_CHECK], arrays[bundle_arrays.SELF_CHECK], SELF_CHECK)
        return classifier


def bundle_files(manifest: Manifest) -> tuple[str, ...]:
    """Return the files that the bundle of this manifest has to have, beside the manifest."""
    return KNOWN_FILES if COMPILED in manifest.files else FILES


def _trees(contents: Mapping[str, bytes], n_classes: int) -> Trees:
    text = contents[TREES].decode()
    compiled = bundle_trees.from_bytes(contents[COMPILED], text, COMPILED) if COMPILED in contents else None
    return Trees(model_text=text, n_classes=n_classes, compiled=compiled)


def _assemble(manifest: Manifest, spec: FeatureSpec, arrays: Arrays, contents: Mapping[str, bytes]) -> Classifier:
    taxonomy = Taxonomy(manifest.labels)
    if taxonomy.leaves != manifest.labels or taxonomy.version != manifest.taxonomy_version:
        raise BundleError(f"the labels in {MANIFEST} do not fit its taxonomy_version: {REMEDY}.")
    if spec.profile != manifest.profile:
        raise BundleError(f"the profile in {MANIFEST} is not that of its feature_spec: {REMEDY}.")
    with_bias = manifest.calibration.get("class_bias")
    bundle_arrays.check_names(arrays, profile=spec.profile, with_bias=with_bias is True, file=ARRAYS)
    thresholds = bundle_arrays.thresholds(arrays)
    if thresholds.summary() != manifest.thresholds:
        raise BundleError(f"the thresholds in {MANIFEST} are not those in {ARRAYS}: {REMEDY}.")
    return Classifier(
        name=manifest.name,
        version=manifest.version,
        spec=spec,
        taxonomy=taxonomy,
        text=bundle_arrays.text_model(arrays) if spec.profile == "text" else None,
        trees=_trees(contents, taxonomy.n_leaves),
        calibration=_calibration(manifest.calibration, bundle_arrays.calibration_bias(arrays)),
        thresholds=thresholds,
        familiarity=bundle_arrays.familiarity(arrays),
        caution=_caution(manifest.calibration.get("unseen_brand")),
    )


def _caution(document: object) -> Caution | None:
    if document is None:
        return None
    if isinstance(document, dict) and set(document) == {"temperature", "threshold"}:
        temperature, threshold = document["temperature"], document["threshold"]
        if isinstance(temperature, float) and isinstance(threshold, float):
            return Caution(temperature=temperature, threshold=threshold)
    raise BundleError(
        f"the calibration in {MANIFEST} has no temperature and threshold of unseen brands: {REMEDY}."
    )


def _calibration(document: Json, bias: npt.NDArray[np.float64] | None) -> Calibration:
    temperature, curve = document.get("temperature"), document.get("top_curve")
    if not isinstance(temperature, float) or document.get("class_bias") is not (bias is not None):
        raise BundleError(f"the calibration in {MANIFEST} has no temperature and class_bias: {REMEDY}.")
    if curve is None:
        return Calibration(temperature=temperature, bias=bias)
    if not isinstance(curve, list) or len(curve) != 3 or not all(isinstance(number, float) for number in curve):
        raise BundleError(f"the calibration in {MANIFEST} has a top_curve that is no three numbers: {REMEDY}.")
    a, b, shift = curve
    return Calibration(temperature=temperature, bias=bias, top_curve=TopCurve(a=a, b=b, shift=shift))


def _curve_numbers(calibration: Calibration) -> list[float] | None:
    """Return the curve as `_calibration` reads it."""
    curve = calibration.top_curve
    return None if curve is None else [curve.a, curve.b, curve.shift]


def _content_version(classifier: Classifier, arrays: Arrays) -> str:
    """Digest all that a decision depends on; not name, metrics, lineage, time of creation or self-check."""
    digest = hashlib.sha256()
    parameters: dict[str, object] = {
        "feature_spec": classifier.spec.to_json(),
        "labels": classifier.taxonomy.leaves,
        "temperature": float(classifier.calibration.temperature),
        "top_curve": _curve_numbers(classifier.calibration),
        "arrays": {name: [str(array.dtype), array.shape] for name, array in arrays.items()},
    }
    if classifier.caution is not None:
        parameters["unseen_brand"] = asdict(classifier.caution)
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
        raise BundleError(f"Bundle {path} holds parts that do not fit: {error} {REMEDY.capitalize()}.") from error
    except (OSError, ValueError) as error:
        raise BundleError(f"Bundle {path} cannot be read ({error}): {REMEDY}.") from error
