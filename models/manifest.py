"""The manifest of a bundle: what the model is, where it comes from, and the digest of every other file.

Its bytes are canonical (sorted keys, two spaces, one line feed at the end) and sealed: `seal` is the SHA-256 of
the same document without the seal. A file changed by accident, down to a blank, is noticed.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final, TypeVar

import numpy as np

from features.spec import Profile
from models.taxonomy import Path
from schemas.errors import BundleError

FORMAT_VERSION: Final = 4
"""Of what is written and read. Up to 3 there was one threshold for all categories."""

MANIFEST: Final = "manifest.json"

Json = Mapping[str, object]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """What a file of the bundle must be."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The content of `manifest.json`.

    Attributes:
        format_version: of the folder's layout.
        name: what published events call the model.
        version: digest of the content: feature spec, labels, arrays, trees, calibration, thresholds.
        profile: `text` or `classic`.
        labels: paths of the leaves, in class order.
        taxonomy_version: digest of the labels.
        feature_spec: the spec as JSON.
        feature_fingerprint: the spec's, as computed by the code that saved the bundle.
        thresholds: `Thresholds.summary` of those in the arrays; training lists each node in `metrics`.
        target_precision: what they were chosen for, or None.
        calibration: `temperature`, whether the arrays hold a bias for each class, the `top_curve` or null, and
            `unseen_brand`: temperature and threshold for products of a brand never seen, or null.
        metrics: of the evaluation; numbers that are not finite are null.
        lineage: of the training rows.
        libraries: versions that the bundle was made with, this program's among them.
        created_at: RFC 3339, UTC.
        files: every other file of the folder.
    """

    format_version: int
    name: str
    version: str
    profile: Profile
    labels: tuple[Path, ...]
    taxonomy_version: str
    feature_spec: Json
    feature_fingerprint: str
    thresholds: Json
    target_precision: float | None
    calibration: Json
    metrics: Json
    lineage: Json
    libraries: Mapping[str, str]
    created_at: str
    files: Mapping[str, FileEntry]

    def to_bytes(self) -> bytes:
        """Return the canonical, sealed bytes: the same manifest always gives the same."""
        document = {field.name: plain(getattr(self, field.name)) for field in fields(self)}
        return _canonical({**document, "seal": _seal(document)})

    @classmethod
    def from_bytes(cls, content: bytes) -> Manifest:
        """Read what `to_bytes` gave.

        Raises BundleError if it is no such document, was written by another format version, or was changed since.
        """
        try:
            document = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise BundleError(
                f"{MANIFEST} is not JSON ({error}): fetch the bundle again or train anew."
            ) from error
        if not isinstance(document, dict):
            raise BundleError(f"{MANIFEST} is not a JSON object: fetch the bundle again or train anew.")
        found = document.get("format_version")
        if found != FORMAT_VERSION:
            raise BundleError(
                f"{MANIFEST} has format_version {found!r} and this program reads {FORMAT_VERSION}: "
                "train again, or use the version of sortline that wrote the bundle."
            )
        seal = document.pop("seal", None)
        if seal != _seal(document) or content != _canonical({**document, "seal": seal}):
            raise BundleError(
                f"{MANIFEST} was changed after it was written: fetch the bundle again or train anew."
            )
        return cls._from_document(document)

    @classmethod
    def _from_document(cls, document: dict[str, object]) -> Manifest:
        names = {field.name for field in fields(cls)}
        if wrong := sorted(names ^ set(document)):
            raise BundleError(f"{MANIFEST} lacks, or has one too many, field {wrong[0]!r}: train anew.")
        profile = document["profile"]
        if not (profile == "text" or profile == "classic"):
            raise BundleError(f"{MANIFEST} has the profile {profile!r}; known are text and classic: train anew.")
        target = document["target_precision"]
        return cls(
            format_version=_typed(document, "format_version", int),
            name=_typed(document, "name", str),
            version=_typed(document, "version", str),
            profile=profile,
            labels=_labels(document["labels"]),
            taxonomy_version=_typed(document, "taxonomy_version", str),
            feature_spec=_typed(document, "feature_spec", dict),
            feature_fingerprint=_typed(document, "feature_fingerprint", str),
            thresholds=_typed(document, "thresholds", dict),
            target_precision=None if target is None else _typed(document, "target_precision", float),
            calibration=_typed(document, "calibration", dict),
            metrics=_typed(document, "metrics", dict),
            lineage=_typed(document, "lineage", dict),
            libraries=_typed(document, "libraries", dict),
            created_at=_typed(document, "created_at", str),
            files=_files(document["files"]),
        )


def plain(value: object) -> object:
    """Return the value as JSON types: numpy numbers become numbers, and what is not finite becomes null.

    >>> plain({"accuracy": np.float32(0.5), "loss": float("nan"), "path": ("a", "b")})
    {'accuracy': 0.5, 'loss': None, 'path': ['a', 'b']}
    """
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, FileEntry):
        return {"sha256": value.sha256, "bytes": value.bytes}
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    raise TypeError(f"a manifest cannot hold {type(value).__name__}")


def _canonical(document: Json) -> bytes:
    text = json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode(errors="surrogatepass")


def _seal(document: Json) -> str:
    return hashlib.sha256(_canonical(document)).hexdigest()


def _typed(document: Json, name: str, kind: type[_T]) -> _T:
    value = document[name]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise BundleError(f"{MANIFEST} has the value {value!r} for {name}, not a {kind.__name__}: train anew.")
    return value


def _labels(value: object) -> tuple[Path, ...]:
    if not isinstance(value, list):
        raise BundleError(f"{MANIFEST} holds no list of labels: train anew.")
    for path in value:
        if not isinstance(path, list) or not all(isinstance(label, str) for label in path):
            raise BundleError(f"{MANIFEST} has the label {path!r}, which is no path of names: train anew.")
    return tuple(tuple(path) for path in value)


def _files(value: object) -> dict[str, FileEntry]:
    entries = {}
    for name, entry in (value if isinstance(value, dict) else {}).items():
        if not isinstance(entry, dict) or set(entry) != {"sha256", "bytes"}:
            raise BundleError(f"{MANIFEST} does not say what {name!r} must be: train anew.")
        entries[name] = FileEntry(sha256=_typed(entry, "sha256", str), bytes=_typed(entry, "bytes", int))
    return entries
