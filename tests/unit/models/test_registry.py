"""MLflow itself, with a store in a folder of the test: what is logged is what is loaded."""

from __future__ import annotations

import ast
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from models.bundle import load_bundle, read_manifest
from models.frames import decisions_to_frame, products_from_frame
from models.registry import (
    LoggedBundle,
    fetch_bundle,
    is_registry_uri,
    load_registered,
    log_bundle,
    resolve_alias,
    set_alias,
    version_with_content,
)
from schemas import columns
from schemas.errors import BundleError, DependencyUnavailableError, SetupError
from tests.tiny_model import build_tiny_bundle, tiny_products


@pytest.fixture(scope="module")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_bundle(tmp_path_factory.mktemp("registry") / "tiny")


@pytest.fixture(scope="module")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture(scope="module")
def logged(tiny_bundle: Path, tracking_uri: str, tmp_path_factory: pytest.TempPathFactory) -> LoggedBundle:
    import mlflow

    client = mlflow.MlflowClient(tracking_uri)
    artifacts = tmp_path_factory.mktemp("artifacts")
    experiment = client.create_experiment("tiny", artifact_location=artifacts.as_uri())
    run = client.create_run(experiment)
    logged = log_bundle(tiny_bundle, tracking_uri=tracking_uri, run_id=run.info.run_id, registered_name="tiny")
    set_alias("tiny", "champion", 1, tracking_uri=tracking_uri)
    return logged


def test_a_registered_bundle_comes_back_byte_for_byte(
    logged: LoggedBundle, tiny_bundle: Path, tracking_uri: str, tmp_path: Path
) -> None:
    assert logged.registered_version == 1
    for uri in (logged.model_uri, "models:/tiny@champion", "models:/tiny/1", "models:/tiny/1"):
        assert is_registry_uri(uri)
        fetched = fetch_bundle(uri, tmp_path, tracking_uri=tracking_uri)
        assert fetched == tmp_path / read_manifest(tiny_bundle).version
        for file in tiny_bundle.iterdir():
            assert (fetched / file.name).read_bytes() == file.read_bytes()
    assert len(list(tmp_path.iterdir())) == 1


def test_an_alias_and_a_content_version_tell_which_registered_version_is_meant(
    logged: LoggedBundle, tiny_bundle: Path, tracking_uri: str
) -> None:
    manifest = read_manifest(tiny_bundle)
    champion = resolve_alias("tiny", "champion", tracking_uri)
    assert (champion.name, champion.number, champion.uri) == ("tiny", 1, "models:/tiny/1")
    assert champion.content_version == manifest.version
    assert champion.tags["sortline.feature_fingerprint"] == manifest.feature_fingerprint
    assert champion.tags["sortline.taxonomy_version"] == manifest.taxonomy_version
    assert version_with_content("tiny", manifest.version, tracking_uri) == 1
    assert version_with_content("tiny", "000000000000", tracking_uri) is None
    assert version_with_content("nobody's", manifest.version, tracking_uri) is None
    for name, alias in (("tiny", "nothing"), ("nobody", "champion")):
        with pytest.raises(SetupError, match="not found"):
            resolve_alias(name, alias, tracking_uri)


def test_mlflow_serves_the_decisions_of_the_bundle(
    logged: LoggedBundle, tiny_bundle: Path, tracking_uri: str
) -> None:
    products = tiny_products(rows_per_category=3).select(columns.PRODUCT.names)
    expected = load_bundle(tiny_bundle).classify(products)
    model = _load(logged, tracking_uri)
    frame = model.predict(products.to_pandas().drop(columns="created_at"))
    pd.testing.assert_frame_equal(frame, decisions_to_frame(expected))
    assert frame["category_path"].tolist() == expected["category_path"].to_pylist()
    assert frame["category"].iloc[4] == "Home > Kitchen > Kettles"


def test_mlflow_takes_products_without_optional_columns(logged: LoggedBundle, tracking_uri: str) -> None:
    model = _load(logged, tracking_uri)
    least = model.predict(pd.DataFrame({"product_id": ["a", "b"], "title": ["electric kettle", "gaming laptop"]}))
    assert least["decision"].tolist() == ["accepted", "accepted"]
    for prices in ([3400, 99900], [3400.0, None]):
        frame = pd.DataFrame({"product_id": ["a", "b"], "title": ["electric kettle"] * 2, "price_minor": prices})
        assert model.predict(frame)["product_id"].tolist() == ["a", "b"]


@pytest.mark.parametrize("uri", ["models:/tiny@none", "models:/nobody/1", "runs:/abc/bundle", "models:/tiny/9"])
def test_a_model_that_mlflow_does_not_have_is_named(
    logged: LoggedBundle, uri: str, tracking_uri: str, tmp_path: Path
) -> None:
    with pytest.raises(SetupError, match="not found"):
        fetch_bundle(uri, tmp_path / "models", tracking_uri=tracking_uri)
    assert not (tmp_path / "models").exists()


def test_a_store_that_does_not_answer_is_no_set_up_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(
        DependencyUnavailableError, match=r"MLflow at http://127\.0\.0\.1:9 does not answer"
    ) as refused:
        fetch_bundle("models:/tiny/1", tmp_path, tracking_uri="http://me:secret@127.0.0.1:9")
    assert "secret" not in str(refused.value)


def test_the_tracking_uri_of_the_caller_is_put_back(
    logged: LoggedBundle, tracking_uri: str, tmp_path: Path
) -> None:
    import mlflow

    before = mlflow.get_tracking_uri()
    fetch_bundle(logged.model_uri, tmp_path, tracking_uri=tracking_uri)
    assert mlflow.get_tracking_uri() == before


def test_a_damaged_bundle_is_not_logged(tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "manifest.json").write_bytes((tiny_bundle / "manifest.json").read_bytes())
    with pytest.raises(BundleError, match="missing"):
        log_bundle(tmp_path / "b", tracking_uri="sqlite:///nowhere.db")


def test_a_folder_is_no_registry_uri(tmp_path: Path) -> None:
    assert not is_registry_uri("models/tiny")
    with pytest.raises(SetupError, match="does not name a model of MLflow"):
        fetch_bundle("models/tiny", tmp_path, tracking_uri="sqlite:///nowhere.db")


def test_a_frame_that_holds_no_products_is_refused() -> None:
    with pytest.raises(SetupError, match="no column title"):
        products_from_frame(pd.DataFrame({"product_id": ["a"]}))
    with pytest.raises(SetupError, match="price_minor cannot be read as int64"):
        products_from_frame(pd.DataFrame({"product_id": ["a"], "title": ["b"], "price_minor": [1.5]}))


def test_a_frame_keeps_its_values() -> None:
    products = tiny_products(rows_per_category=2).select(columns.PRODUCT.names)
    assert products_from_frame(products.to_pandas()).equals(products)
    assert products_from_frame(pd.DataFrame({"product_id": [], "title": []}, dtype=object)).num_rows == 0


def test_no_module_imports_mlflow_before_it_is_used(repository: Path) -> None:
    for path in (repository / "models").glob("*.py"):
        imported = {name.split(".")[0] for node in ast.parse(path.read_text()).body for name in _imported(node)}
        assert ("mlflow" in imported) == (path.name == "pyfunc_entry.py"), path.name


def _load(logged: LoggedBundle, tracking_uri: str) -> Any:
    import mlflow

    mlflow.set_tracking_uri(tracking_uri)
    try:
        return mlflow.pyfunc.load_model(logged.model_uri)
    finally:
        mlflow.set_tracking_uri("")


def _imported(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def test_a_registered_model_is_loaded_with_its_manifest_and_leaves_nothing_behind(
    logged: LoggedBundle, tiny_bundle: Path, tracking_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    classifier, manifest = load_registered("models:/tiny@champion", tracking_uri=tracking_uri)
    assert manifest == read_manifest(tiny_bundle)
    assert classifier.version == manifest.version
    assert list(tmp_path.iterdir()) == []
