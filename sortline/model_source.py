"""Opens the model that the settings name, wherever it is kept."""

from __future__ import annotations

from pathlib import Path

from models.bundle import Manifest, load_bundle, read_manifest
from models.classifier import Classifier
from models.registry import is_registry_uri, load_registered
from schemas.errors import SetupError
from sortline.settings import SortlineSettings


def open_model(settings: SortlineSettings) -> Classifier:
    """Load and check the model bundle from its folder, or from MLflow if its name begins with `models:/`.

    Raises SetupError if no model is named, BundleError if it cannot be trusted.
    """
    return open_model_and_manifest(settings)[0]


def open_model_and_manifest(settings: SortlineSettings) -> tuple[Classifier, Manifest]:
    """Do the same, and return what the manifest says, too."""
    model = settings.model
    if model is None:
        raise SetupError("option --model: give the folder of a model bundle (`sortline train` writes one)")
    if is_registry_uri(model):
        return load_registered(model, tracking_uri=settings.tracking_uri)
    folder = Path(model)
    return load_bundle(folder), read_manifest(folder)
