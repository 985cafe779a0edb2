"""One tiny model of each profile for all tests here; none of them changes it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from features.spec import Profile
from models.classifier import Classifier
from schemas import columns
from tests.tiny_model import build_tiny_bundle, fit_tiny_classifier, tiny_products


@pytest.fixture(scope="session", params=["text", "classic"])
def profile(request: pytest.FixtureRequest) -> Profile:
    return "text" if request.param == "text" else "classic"


@pytest.fixture(scope="session")
def classifier(profile: Profile) -> Classifier:
    return fit_tiny_classifier(profile)


@pytest.fixture(scope="session")
def bundle(profile: Profile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved bundle; read it, never write to it."""
    return build_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny", profile)


@pytest.fixture(scope="session")
def products() -> pa.RecordBatch:
    return tiny_products(rows_per_category=6).select(columns.PRODUCT.names)


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    """A bundle to damage."""
    return Path(shutil.copytree(bundle, tmp_path / "copy"))
