"""The bundle that an event was decided by: found by the digest of its content, which the event tells."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from models.bundle import load_bundle, read_manifest
from models.classifier import Classifier
from models.manifest import Manifest
from models.registry import fetch_bundle, is_registry_uri, version_with_content
from schemas.errors import BundleError, SetupError

_SQLITE: Final = "sqlite:///"
_REMEDY: Final = "give the --tracking-uri of the store that has it, or the bundle's folder as --model"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundModel:
    """A bundle that may have made the decision.

    Attributes:
        origin: `models:/<name>/<version>` or the folder.
        manifest: what the bundle says of itself.
        classifier: the model, or None if this program cannot run it; then `problem` says why.
    """

    origin: str
    manifest: Manifest
    classifier: Classifier | None
    problem: str | None = None


def find_model(name: str, version: str, *, given: str | None, tracking_uri: str) -> FoundModel | str:
    """Return the bundle of this content version, or a sentence that says where it was looked for in vain.

    `given` is a folder or an address of MLflow to take instead, whatever version it has; otherwise the registered
    model of that name is asked. Raises SetupError if there is nothing at `given`, DependencyUnavailableError if
    MLflow does not answer.
    """
    origin = given
    if origin is None:
        if tracking_uri.startswith(_SQLITE) and not Path(tracking_uri.removeprefix(_SQLITE)).exists():
            # MLflow would make an empty store there.
            return f"there is no MLflow store at {tracking_uri}: {_REMEDY}"
        number = version_with_content(name, version, tracking_uri)
        if number is None:
            return f"no version of models:/{name} holds the content {version}: {_REMEDY}"
        origin = f"models:/{name}/{number}"
    if not is_registry_uri(origin):
        return _opened(origin, Path(origin))
    with tempfile.TemporaryDirectory(prefix="sortline-model-") as scratch:
        try:
            folder = fetch_bundle(origin, Path(scratch), tracking_uri=tracking_uri)
        except BundleError as error:
            return str(error)
        return _opened(origin, folder)


def _opened(origin: str, folder: Path) -> FoundModel:
    manifest = read_manifest(folder)
    try:
        return FoundModel(origin=origin, manifest=manifest, classifier=load_bundle(folder))
    except (BundleError, SetupError) as error:
        return FoundModel(origin=origin, manifest=manifest, classifier=None, problem=str(error))
