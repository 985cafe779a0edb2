from __future__ import annotations

from pathlib import Path

import pytest

from models.registry import fetch_bundle, resolve_alias
from schemas.errors import DependencyUnavailableError
from tests.unit.training.made_catalog import made_products
from training.fit import TrainingResult, fit_bundle
from training.progress import SilentProgress
from training.promotion import promote

pytestmark = pytest.mark.integration  # needs no broker, but MLflow takes ten seconds to start


def fit(to: Path, tracking_uri: str) -> TrainingResult:
    return fit_bundle(
        made_products(200),
        profile="classic",
        seed=0,
        to=to,
        min_products=10,
        lineage={},
        tracking_uri=tracking_uri,
        progress=SilentProgress(),
        name="made-up",
    )


def test_a_run_holds_settings_figures_report_and_the_bundle_as_a_registered_model(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    result = fit(tmp_path / "bundle", uri)

    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    assert result.tracking_run is not None
    run = client.get_run(result.tracking_run)
    assert run.info.status == "FINISHED"
    assert run.data.params["profile"] == "classic"
    assert run.data.params["version"] == result.manifest.version
    assert run.data.metrics["accuracy"] == pytest.approx(result.evaluation.accuracy)
    assert {file.path for file in client.list_artifacts(result.tracking_run)} == {
        "classes.csv",
        "model-card.md",
        "products.parquet",
        "report.html",
        "report.json",
        "rows",
    }
    assert (tmp_path / "mlruns" / "sortline" / result.tracking_run).is_dir()
    promotion = promote(
        "made-up", 1, tracking_uri=uri, progress=SilentProgress(), force_reason="two hundred products are few"
    )
    assert promotion.outcome in ("promoted", "forced")
    assert resolve_alias("made-up", "champion", uri).content_version == result.manifest.version
    fetched = fetch_bundle("models:/made-up/1", tmp_path / "fetched", tracking_uri=uri)
    for file in (tmp_path / "bundle").iterdir():
        assert (fetched / file.name).read_bytes() == file.read_bytes()


def test_a_store_that_does_not_answer_leaves_the_bundle(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database")

    with pytest.raises(DependencyUnavailableError, match="MLflow at sqlite"):
        fit(tmp_path / "bundle", f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert (tmp_path / "bundle" / "manifest.json").exists()
