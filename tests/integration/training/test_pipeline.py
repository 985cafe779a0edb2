"""The flow on a real Prefect server: deployed with its schedule, run, seen through the server's API."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from compose.sockets import free_ports
from schemas.topics import TopicNames
from tests.integration.training.catalogue_topic import fill
from tests.unit.training.made_catalog import made_products

pytestmark = pytest.mark.integration

#: Beside others on two cores a server has taken a minute to start.
_PATIENCE_SECONDS = 240.0
_SORTLINE = [sys.executable, "-m", "sortline"]

#: A flow of fake steps in this process's own API: what is tried again, and what is not.
_OWN_API = """
import json
from training.prefect_api import reporting

with reporting():
    from prefect import flow
    from schemas.errors import DependencyUnavailableError, SetupError
    from training.pipeline import as_tasks

    attempts = {}

    def failing(error, times):
        def step():
            attempts[error.__name__] = attempts.get(error.__name__, 0) + 1
            if attempts[error.__name__] <= times:
                raise error("away")
            return "done"
        return step

    @flow
    def fake():
        run = as_tasks(retry_delays=(0, 0))
        assert run("waits", failing(DependencyUnavailableError, 2)) == "done"
        run("fails", failing(SetupError, 2))

    try:
        fake()
    except SetupError as error:
        print(json.dumps({"raised": str(error), **attempts}))
"""


@contextmanager
def running(arguments: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process until the end of the context; a process group, so that its children end with it."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            arguments, env=environment, stdout=output, stderr=output, cwd=log.parent, start_new_session=True
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)


def wait_for(api: httpx.Client, process: subprocess.Popen[bytes], log: Path, ask: Any) -> Any:
    """Ask until there is an answer; the log is shown if there is none or the process has ended."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if answer := ask(api):
                return answer
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError(log.read_text()[-3000:])


def test_a_deployed_flow_runs_on_a_server_and_leaves_its_findings_as_artifacts(
    bootstrap: str, registry_url: str, topics: TopicNames, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}/api"
    prefix = topics.created.removesuffix(TopicNames().created)
    environment = {
        **os.environ,
        "HOME": str(tmp_path / "home"),
        "PREFECT_API_URL": url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "SORTLINE_BOOTSTRAP": bootstrap,
        "SORTLINE_REGISTRY_URL": registry_url,
        "SORTLINE_TOPIC_PREFIX": prefix,
        "SORTLINE_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}",
    }
    (tmp_path / "home").mkdir()
    of_server = {**environment, "PREFECT_HOME": str(tmp_path / "prefect"), "PREFECT_SERVER_UI_ENABLED": "false"}
    start = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    fill(bootstrap, registry_url, topics.catalog, made_products(200))
    log, serve_log = tmp_path / "server.log", tmp_path / "serve.log"
    model = ["--profile", "classic", "--min-products", "10", "--to", "bundles/scheduled"]

    with running(start, of_server, log) as server, httpx.Client(base_url=url, timeout=30) as api:
        wait_for(api, server, log, lambda api: api.get("/health").is_success)
        api.post("/work_pools/", json={"name": "training", "type": "process"}).raise_for_status()
        deployed = subprocess.run(
            [*_SORTLINE, "pipeline", "deploy", "--work-pool", "training", "--cron", "0 3 * * *", *model],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert deployed.returncode == 0, deployed.stderr
        nightly = api.get("/deployments/name/sortline-retrain/nightly").json()
        assert [one["schedule"]["cron"] for one in nightly["schedules"]] == ["0 3 * * *"]
        assert nightly["work_pool_name"] == "training"
        assert nightly["parameters"]["to"] == str(tmp_path / "bundles" / "scheduled")
        assert bootstrap not in json.dumps(nightly), "addresses are the worker's own"

        serve = [*_SORTLINE, "pipeline", "serve", "--deployment", "here", "--cron", "0 4 * * *", *model]
        with running(serve, environment, serve_log) as served:
            here = wait_for(api, served, serve_log, _deployment_called("here"))
            made = api.post(f"/deployments/{here['id']}/create_flow_run", json={"state": {"type": "SCHEDULED"}})
            run = made.json()["id"]
            state = wait_for(api, served, serve_log, _final_state_of(run))
        assert state == "COMPLETED", serve_log.read_text()[-3000:]

        tasks = api.post("/task_runs/filter", json={"flow_runs": {"id": {"any_": [run]}}}).json()
        assert {one["name"].rsplit("-", 1)[0] for one in tasks} == {
            "look for changes",
            "take a snapshot",
            "fit and evaluate",
            "register",
        }
        found = api.post("/artifacts/filter", json={"artifacts": {"flow_run_id": {"any_": [run]}}}).json()
        artifacts = {one["key"]: one for one in found}
        card = (tmp_path / "bundles" / "scheduled.report" / "model-card.md").read_text()
        assert artifacts["sortline-model-card"]["data"] == card
        assert artifacts["sortline-evaluation"]["type"] == "table"
        assert "accuracy" in artifacts["sortline-evaluation"]["data"]
        assert "models:/sortline/1" in artifacts["sortline-version"]["data"]
        assert artifacts["sortline-offsets"]["description"].startswith("retrain")
    assert not any((tmp_path / "home").iterdir())


def test_what_does_not_answer_is_tried_again_what_is_wrong_is_not_and_nothing_is_left_behind(
    tmp_path: Path,
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "tmp").mkdir()
    environment = {**os.environ, "HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "tmp")}
    environment.pop("PREFECT_API_URL", None)
    ran = subprocess.run(
        [sys.executable, "-c", _OWN_API], env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {"raised": "away", "DependencyUnavailableError": 3, "SetupError": 1}
    assert ran.stderr == ""
    assert not any((tmp_path / "home").iterdir())
    assert not any((tmp_path / "tmp").iterdir())


def _deployment_called(name: str) -> Any:
    def ask(api: httpx.Client) -> Any:
        answer = api.get(f"/deployments/name/sortline-retrain/{name}")
        return answer.json() if answer.is_success else None

    return ask


def _final_state_of(run: str) -> Any:
    def ask(api: httpx.Client) -> Any:
        state = api.get(f"/flow_runs/{run}").json()["state_type"]
        return state if state in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"} else None

    return ask
