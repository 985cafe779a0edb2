"""Registered models on a real MLflow server: from a training run to the champion and back.

The tests are a story: each begins where the one before it ended.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from typing import Any

import pyarrow as pa
import pytest

from features.spec import Profile
from models.bundle import load_bundle, read_manifest
from models.mlflow_store import mlflow_client
from models.registry import resolve_alias, version_with_content
from schemas.columns import PRODUCT
from schemas.errors import DependencyUnavailableError, SetupError
from sortline.main import main
from tests.integration.sortline.mlflow_server import MlflowServer, started
from tests.unit.training.made_catalog import made_products
from training.champion_history import promotion_lock
from training.fit import fit_bundle
from training.progress import SilentProgress
from training.promotion import promote

pytestmark = pytest.mark.integration  # no broker, but an MLflow server and three models

NAME = "made-up"
LINEAGE = {
    "offsets": {"products.catalog": {"0": [0, 99], "2": [5, 7]}},
    "schema_ids": [3],
    "removed": 1,
    "rejected": 2,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    exit_code: int
    stdout: str
    stderr: str


Run = Callable[..., Printed]


def renamed(products: pa.Table) -> pa.Table:
    """The catalogue after mowers were moved."""
    paths = [
        ["Outdoor", "mower"] if path == ["Garden", "mower"] else path
        for path in products["category_path"].to_pylist()
    ]
    at = products.column_names.index("category_path")
    return products.set_column(at, products.schema.field(at), pa.array(paths, pa.list_(pa.string())))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lifecycle")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[MlflowServer]:
    """A server with three versions: the first, a better one of more products, and a worse one of moved mowers."""
    (folder / "server").mkdir()
    with started(folder / "server") as server:
        import mlflow  # noqa: F401 - while the server does the same

        server.wait()
        versions: list[tuple[Profile, pa.Table]] = [
            ("text", made_products(600)),
            ("text", made_products(900)),
            ("classic", renamed(made_products(900))),
        ]
        for number, (profile, products) in enumerate(versions, start=1):
            fit_bundle(
                products,
                profile=profile,
                seed=0,
                to=folder / f"bundle-{number}",
                min_products=10,
                lineage=LINEAGE,
                progress=SilentProgress(),
                tracking_uri=server.uri,
                name=NAME,
            )
        yield server


@pytest.fixture
def run(server: MlflowServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `sortline models …`; an unexpected exit code fails the test."""
    monkeypatch.setenv("SORTLINE_TRACKING_URI", server.uri)

    def run_here(*arguments: object, exit_code: int = 0) -> Printed:
        capsys.readouterr()
        quietly = ["--no-announce"] if arguments[0] in ("promote", "rollback") else []
        code = main(["models", *map(str, arguments), "--name", NAME, *quietly])
        printed = capsys.readouterr()
        assert code == exit_code, printed.err
        return Printed(exit_code=code, stdout=printed.out, stderr=printed.err)

    return run_here


def champion(server: MlflowServer) -> int:
    return resolve_alias(NAME, "champion", server.uri).number


def test_a_run_tells_its_dataset_and_its_version_what_the_bundle_is(server: MlflowServer, folder: Path) -> None:
    import mlflow

    manifest = read_manifest(folder / "bundle-2")
    number = version_with_content(NAME, manifest.version, server.uri)
    assert number == 2
    with mlflow_client(server.uri) as client:
        version = client.get_model_version(NAME, "2")
        run = client.get_run(version.run_id)
        kept = {artifact.path for artifact in client.list_artifacts(version.run_id, "rows")}
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")
    assert kept == {"rows/test.parquet"}
    assert version.tags["sortline.feature_fingerprint"] == manifest.feature_fingerprint
    assert version.tags["sortline.taxonomy_version"] == manifest.taxonomy_version
    assert version.tags["sortline.content_digest"] == manifest.lineage["content_digest"]
    (logged,) = run.inputs.dataset_inputs
    assert json.loads(logged.dataset.profile) == {"num_rows": 900}
    source: Any = mlflow.data.get_source(logged)  # MLflow finds the class by its entry point
    assert (source.lineage.topic, source.lineage.offsets) == ("products.catalog", {0: (0, 99), 2: (5, 7)})
    assert source.lineage.content_digest == manifest.lineage["content_digest"]


def test_plain_mlflow_loads_and_serves_it_in_a_process_that_knows_nothing_else(
    server: MlflowServer, folder: Path
) -> None:
    products = made_products(5).select(PRODUCT.names).drop_columns(["created_at"])
    rows = products.to_pylist()
    question = {
        "uri": server.uri,
        "model": f"models:/{NAME}/2",
        "payloads": [
            {"dataframe_records": rows},
            {"dataframe_split": {"columns": products.column_names, "data": [[*row.values()] for row in rows]}},
            {"dataframe_records": [{"product_id": row["product_id"], "title": row["title"]} for row in rows]},
            {"dataframe_records": [{"product_id": "a"}]},
        ],
    }
    program = """
import json, sys
question = json.load(sys.stdin)
import mlflow
from fastapi.testclient import TestClient
from mlflow.pyfunc.scoring_server import init
mlflow.set_tracking_uri(question["uri"])
model = mlflow.pyfunc.load_model(question["model"])
with TestClient(init(model)) as client:
    answers = [client.post("/invocations", json=payload) for payload in question["payloads"]]
print(json.dumps([[answer.status_code, answer.json()] for answer in answers]))
"""
    ran = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", "-c", program],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    records, split, least, broken = json.loads(ran.stdout.splitlines()[-1])
    expected = load_bundle(folder / "bundle-2").classify(
        made_products(5).select(PRODUCT.names).combine_chunks().to_batches()[0]
    )
    assert records[0] == split[0] == least[0] == 200
    assert records[1] == split[1]
    for answer, path, confidence in zip(
        records[1]["predictions"],
        expected["category_path"].to_pylist(),
        expected["confidence"].to_pylist(),
        strict=True,
    ):
        assert answer["category_path"] == path
        assert answer["confidence"] == pytest.approx(confidence)
    assert len(least[1]["predictions"]) == 5
    assert broken[0] == 400
    assert "title" in json.dumps(broken[1])


def test_the_first_champion_needs_no_other_and_a_better_one_follows_it(run: Run, server: MlflowServer) -> None:
    assert "Version 1 of made-up is the champion now." in run("promote", 1).stdout
    printed = run("promote", 2).stdout
    assert "Version 2 of made-up is the champion now, after version 1." in printed
    assert "of the champion's test rows" in printed
    assert "newer rows" in printed
    assert "is the champion already" in run("promote", 2).stdout
    assert champion(server) == 2


def test_a_worse_one_that_moves_a_category_is_refused_and_the_version_says_why(
    run: Run, server: MlflowServer
) -> None:
    refused = run("promote", 3, exit_code=1)
    assert "renamed category: Garden > mower is Outdoor > mower" in refused.stdout
    assert "was not promoted: " in refused.stderr
    assert champion(server) == 2
    with mlflow_client(server.uri) as client:
        version = client.get_model_version(NAME, "3")
        verdicts = [artifact.path for artifact in client.list_artifacts(version.run_id, "gate")]
    assert version.tags["sortline.gate"] == "refused"
    assert version.tags["sortline.gate.against"] == "2"
    assert "taxonomy: 0 removed, 1 renamed" in version.tags["sortline.gate.failed"]
    assert len(verdicts) == 1

    verdict = json.loads(run("promote", 3, "--allow-taxonomy-change", "--json", exit_code=1).stdout)
    failed = {check["name"] for check in verdict["checks"] if not check["passed"]}
    assert "taxonomy" not in failed
    assert "accuracy, champion's test rows" in failed


def test_versions_can_be_listed_looked_at_and_compared(run: Run, folder: Path) -> None:
    first, third = (read_manifest(folder / f"bundle-{number}") for number in (1, 3))
    table = run("list").stdout.splitlines()
    assert [line.split()[0] for line in table] == ["version", "3", "2", "1"]
    assert "champion" in table[2]
    assert "refused" in table[1]
    assert [json.loads(line)["version"] for line in run("list", "--json").stdout.splitlines()] == [3, 2, 1]
    shown = run("show", 1).stdout
    assert first.version in shown
    assert "topic products.catalog, offsets 0: 0-99, 2: 5-7, schema ids [3]" in shown
    assert str(first.lineage["content_digest"]) in shown
    told = run("diff", "champion", 3).stdout
    assert "Garden > mower is Outdoor > mower" in told
    assert third.feature_fingerprint[:12] in told
    assert "test accuracy" in told
    assert main(["models", "list", "--name", "nobody"]) == 2
    assert "has no version 9, or not any more; there are: 3, 2, 1" in run("show", 9, exit_code=2).stderr


def test_force_needs_a_reason_and_rollback_goes_back_promotion_by_promotion(
    run: Run, server: MlflowServer
) -> None:
    assert "--reason" in run("promote", 3, "--force", exit_code=2).stderr
    assert "by force" in run("promote", 3, "--force", "--reason", "a recall").stdout
    with mlflow_client(server.uri) as client:
        assert client.get_model_version(NAME, "3").tags["sortline.gate.reason"] == "a recall"
    assert "Version 2 of made-up is the champion again instead of version 3" in run("rollback").stdout
    assert "Version 1 of made-up is the champion again" in run("rollback", "--reason", "kettles").stdout
    assert "no earlier champion" in run("rollback", exit_code=2).stderr
    assert champion(server) == 1
    with mlflow_client(server.uri) as client:
        assert client.get_model_version(NAME, "2").tags["sortline.rolled_back.reason"] == "kettles"
    run("promote", 2)
    assert champion(server) == 2


def test_of_many_that_promote_at_once_one_has_the_lock(run: Run, server: MlflowServer) -> None:
    barrier = Barrier(6)

    def contend(_: int) -> str:
        with mlflow_client(server.uri) as client:
            barrier.wait()
            try:
                with promotion_lock(client, NAME):
                    barrier.wait()  # nobody leaves before everybody tried
                    return "had it"
            except DependencyUnavailableError as error:
                barrier.wait()
                return str(error)

    with ThreadPoolExecutor(6) as pool:
        told = list(pool.map(contend, range(6)))
    assert told.count("had it") == 1
    assert all("try again" in one for one in told if one != "had it")
    with mlflow_client(server.uri) as client, promotion_lock(client, NAME):
        assert "is changing the champion of made-up" in run("rollback", exit_code=1).stderr
    assert champion(server) == 2
    run("rollback")
    run("promote", 2)


def test_a_champion_that_changed_while_a_version_was_judged_is_not_overwritten(
    run: Run, server: MlflowServer
) -> None:
    class Meanwhile(SilentProgress):
        """Somebody else rolls back."""

        def step(self, name: str, total: int | None = None) -> None:
            if name.startswith("Recording"):
                run("rollback")

    with pytest.raises(DependencyUnavailableError, match="was version 2 when this began and is version 1 now"):
        promote(NAME, 3, tracking_uri=server.uri, progress=Meanwhile(), force_reason="a test")
    assert champion(server) == 1
    with mlflow_client(server.uri) as client:
        assert client.get_model_version(NAME, "3").tags["sortline.gate"] == "passed"
    run("promote", 2)


def test_a_bundle_changed_in_the_artifact_store_is_never_promoted(run: Run, server: MlflowServer) -> None:
    with mlflow_client(server.uri) as client:
        model = client.get_model_version(NAME, "3").source.rpartition("/")[2]
    (arrays,) = (path for path in server.artifacts.rglob("arrays.safetensors") if model in str(path))
    content = bytearray(arrays.read_bytes())
    content[-1] ^= 1
    arrays.write_bytes(content)
    refused = run("promote", 3, "--force", "--reason", "must not help", exit_code=1)
    assert "arrays.safetensors" in refused.stdout
    assert "was not promoted: bundle" in refused.stderr
    assert champion(server) == 2
    arrays.unlink()
    assert "arrays.safetensors" in run("show", 3, exit_code=2).stderr


def test_versions_that_were_deleted_are_passed_over_and_a_deleted_champion_is_missed(
    run: Run, server: MlflowServer
) -> None:
    with mlflow_client(server.uri) as client:

        class Meanwhile(SilentProgress):
            """Somebody deletes the version that is judged."""

            def step(self, name: str, total: int | None = None) -> None:
                if name.startswith("Recording"):
                    client.delete_model_version(NAME, "3")

        with pytest.raises(SetupError, match="has no version 3, or not any more; there are: 2, 1"):
            promote(NAME, 3, tracking_uri=server.uri, progress=Meanwhile())
        client.delete_model_version(NAME, "2")
    refused = run("promote", 1, exit_code=1)
    assert "sortline models rollback" in refused.stdout
    assert "Version 1 of made-up is the champion again." in run("rollback").stdout
    assert champion(server) == 1


def test_a_server_that_is_away_is_named_with_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for command in (["list"], ["show", "1"], ["promote", "1"], ["rollback"]):
        assert main(["models", *command, "--tracking-uri", "http://127.0.0.1:9"]) == 1
        assert "MLflow at http://127.0.0.1:9 does not answer, look whether it runs" in capsys.readouterr().err
