"""Ways to save a bundle, to damage one and seal it again, and to see it refused."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from models.bundle import Manifest, load_bundle, read_manifest, save_bundle
from models.classifier import Classifier
from models.manifest import FileEntry
from schemas.errors import BundleError
from tests.tiny_model import tiny_products

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
COMPILED = "compiled_trees.safetensors"
FILES = ("manifest.json", "trees.txt", "arrays.safetensors", "self_check.arrow", COMPILED)


def save(classifier: Classifier, to: Path, *, created_at: datetime = NOON, **changes: object) -> Manifest:
    arguments: dict[str, object] = {
        "metrics": {"accuracy": 0.5},
        "lineage": {"topic": {"0": [0, 9]}},
        "self_check": tiny_products(rows_per_category=1),
        **changes,
    }
    return save_bundle(classifier, to, created_at=created_at, **arguments)  # type: ignore[arg-type]  # any change


def reseal(folder: Path, change: Callable[[Manifest], Manifest]) -> None:
    """Rewrite the manifest as someone would who knows how it is made, digests of the files included."""
    manifest = read_manifest(folder)
    files = {}
    for name in sorted({path.name for path in folder.iterdir()} & set(FILES[1:])):
        content = (folder / name).read_bytes()
        files[name] = FileEntry(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
    (folder / "manifest.json").write_bytes(change(dataclasses.replace(manifest, files=files)).to_bytes())


def refusal(folder: Path) -> str:
    with pytest.raises(BundleError) as refused:
        load_bundle(folder)
    sentence = str(refused.value)
    assert str(folder) in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence
