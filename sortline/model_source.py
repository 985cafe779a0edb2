"""Opens the model that the settings name, wherever it is kept."""

from __future__ import annotations

import tempfile
from pathlib import Path

from models.bundle import load_bundle
from models.classifier import Classifier
from models.registry import fetch_bundle, is_registry_uri
from schemas.errors import SetupError
from sortline.settings import SortlineSettings


def open_model(settings: SortlineSettings) -> Classifier:
    """Load and check the model bundle from its folder, or from MLflow if its name begins with `models:/`.

    Raises SetupError if no model is named, BundleError if it cannot be trusted.
    """
    model = settings.model
    if model is None:
        raise SetupError("option --model: give the folder of a model bundle (`sortline train` writes one)")
    if not is_registry_uri(model):
        return load_bundle(Path(model))
    with tempfile.TemporaryDirectory(prefix="sortline-model-") as folder:
        return load_bundle(fetch_bundle(model, Path(folder), tracking_uri=settings.tracking_uri))
