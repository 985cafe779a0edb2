"""Which models are followed, and which mean the same for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.bundle import load_bundle
from models.serving.store import MlflowStore, followed, open_model
from schemas.errors import SetupError
from tests.tiny_model import build_tiny_bundle


def test_an_alias_is_followed() -> None:
    assert followed("models:/sortline@champion", "sqlite:///m.db") == MlflowStore(
        "sortline", "champion", "sqlite:///m.db"
    )


@pytest.mark.parametrize(
    "model", ["bundles/first", "models:/sortline/3", "runs:/abc/bundle", "models:/m-1234", "a@b"]
)
def test_what_cannot_mean_anything_else_tomorrow_is_not_followed(model: str) -> None:
    assert followed(model, "sqlite:///m.db") is None


def test_a_folder_has_no_number(tmp_path: Path) -> None:
    bundle = build_tiny_bundle(tmp_path / "tiny", "classic")
    classifier, number = open_model(str(bundle), None)
    assert number is None
    assert classifier.version == load_bundle(bundle).version


@pytest.mark.parametrize("model", ["models:/sortline@champion", "models:/sortline/3"])
def test_a_model_of_mlflow_needs_to_know_where_mlflow_is(model: str) -> None:
    with pytest.raises(SetupError, match="tracking_uri"):
        open_model(model, None)
