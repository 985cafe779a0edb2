"""The images, and all of deploy/compose.yaml run with them by Compose itself."""

from __future__ import annotations

import io
import json
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pyarrow.parquet as pq
import pytest

from compose.engine import docker, engine_answers
from compose.plugins import plugin_arguments
from compose.services import Endpoints, Ports
from compose.sockets import free_ports
from compose.stack import default_cache_dir
from compose.whole import BUILT, COMPOSE_FILE, ROOT, prepare, read_env, write_env
from sortline.main import main

pytestmark = pytest.mark.integration

_CATALOGUE: Final = ROOT / "sortline" / "sample_data" / "pcparts.parquet"
_TAG: Final = "test"
_PORTS: Final = ("KAFKA", "REGISTRY", "MLFLOW", "WORKER", "GATEWAY")
#: Decimal, as Docker counts.
_GIGABYTE: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeStack:
    """A project of Compose with names, ports and volumes of its own."""

    project: str
    env_file: Path
    ports: Mapping[str, int]

    @property
    def endpoints(self) -> Endpoints:
        return Endpoints.on(Ports(kafka=self.ports["KAFKA"], registry=self.ports["REGISTRY"]))

    def compose(self, *arguments: str) -> str:
        """Run `docker compose` and return what it prints; a failure tells all that is to be known."""
        done = self._run(*arguments)
        assert done.returncode == 0, (
            f"compose {arguments}: {(done.stdout + done.stderr)[-1_500:]}\n"
            f"{self._run('ps', '--all').stdout}\n{self._run('logs', '--tail', '12', 'worker', 'gateway').stdout}"
        )
        return done.stdout

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["compose", "--project-name", self.project, "--env-file", str(self.env_file)]
        command = plugin_arguments(
            [*command, "--file", str(COMPOSE_FILE), *arguments],
            folders=[ROOT, self.env_file.parent],
            variables={},
            cache_dir=default_cache_dir(),
            progress=print,
        )
        return subprocess.run(["docker", *command], capture_output=True, text=True, check=False)

    def container(self, service: str) -> str:
        """Return the id of the service's container, whether it runs or has ended."""
        labels = (f"com.docker.compose.project={self.project}", f"com.docker.compose.service={service}")
        filters = [argument for label in labels for argument in ("--filter", f"label={label}")]
        return docker(["ps", "--all", "--quiet", *filters]).strip()

    def state(self, service: str) -> dict[str, Any]:
        """Return Docker's state of the service's container."""
        return dict(json.loads(docker(["inspect", "--format", "{{json .State}}", self.container(service)])))

    def sortline(self, *arguments: object) -> str:
        """Run `sortline` on this machine against the stack, and return what it prints."""
        stdout, stderr = io.StringIO(), io.StringIO()
        stack = ("--bootstrap", self.endpoints.bootstrap, "--registry", self.endpoints.registry_url)
        with redirect_stdout(stdout), redirect_stderr(stderr):
            exit_code = main([str(argument) for argument in (*arguments, *stack)])
        assert exit_code == 0, stderr.getvalue()
        return stdout.getvalue()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeStack]:
    """Everything: images built, a champion trained by the job, worker and gateway ready to serve it."""
    if not engine_answers():
        pytest.skip("no Docker engine answers here, and the images are for one")
    folder = tmp_path_factory.mktemp("whole")
    env_file = folder / ".env"
    ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
    names = {f"SORTLINE_{name}_PORT": str(port) for name, port in ports.items()}
    write_env(env_file, {"SORTLINE_VERSION": _TAG, **names})
    prepare(print, cache_dir=default_cache_dir(), env_file=env_file)
    stack = WholeStack(project=f"sortline-t{uuid.uuid4().hex[:8]}", env_file=env_file, ports=ports)
    try:
        stack.compose("up", "--detach", "--wait", "mlflow", "topics")
        stack.sortline("produce", _CATALOGUE, "--catalog", "--limit", 3_000)
        trained = stack.compose("run", "--rm", "--no-TTY", "training")
        assert "promoted" in trained, trained
        stack.compose("up", "--detach", "--wait", "worker", "gateway")
        yield stack
    finally:
        stack.compose("--profile", "job", "down", "--volumes", "--timeout", "5")


@pytest.mark.parametrize("image", BUILT)
def test_an_image_is_below_a_gigabyte_says_what_it_is_and_is_not_root(stack: WholeStack, image: str) -> None:
    del stack
    described = json.loads(docker(["image", "inspect", f"sortline/{image}:{_TAG}"]))[0]
    assert described["Size"] < _GIGABYTE
    assert described["Config"]["User"] == "10001:10001"
    labels = described["Config"]["Labels"]
    assert labels["org.opencontainers.image.version"] == _TAG
    assert labels["org.opencontainers.image.licenses"]
    assert len(labels["org.opencontainers.image.revision"]) == 40


def test_the_images_share_all_layers_that_weigh_anything(stack: WholeStack) -> None:
    del stack
    layers = [
        json.loads(docker(["image", "inspect", "--format", "{{json .RootFS.Layers}}", f"sortline/{image}:{_TAG}"]))
        for image in ("worker", "gateway", "training")
    ]
    assert layers[0] == layers[1] == layers[2]


def test_nothing_of_how_this_machine_reaches_its_packages_is_in_an_image(stack: WholeStack) -> None:
    del stack
    history = docker(["history", "--no-trunc", "--format", "{{.CreatedBy}}", f"sortline/mlflow:{_TAG}"])
    assert "http" not in history
    look = "find / -xdev -name pip.conf; find /opt/pip /run/secrets /root/.cache -type f 2>/dev/null; echo looked"
    looking = ["run", "--rm", "--user", "0", "--entrypoint", "sh", f"sortline/mlflow:{_TAG}", "-c", look]
    assert docker(looking).split() == ["looked"]


def test_every_service_is_healthy_and_every_job_succeeded(stack: WholeStack) -> None:
    for service in ("kafka", "registry", "postgres", "s3", "mlflow", "worker", "gateway"):
        assert stack.state(service)["Health"]["Status"] == "healthy", service
    for job in ("bucket", "topics"):
        assert (stack.state(job)["Status"], stack.state(job)["ExitCode"]) == ("exited", 0), job


def test_runs_are_in_postgresql_and_their_files_in_s3(stack: WholeStack) -> None:
    query = "SELECT count(*) FROM registered_model_aliases WHERE alias = 'champion' AND name = 'sortline'"
    psql = ["psql", "--username=sortline", "--dbname=mlflow", "--tuples-only", "--no-align", "--command", query]
    assert docker(["exec", stack.container("postgres"), *psql]).strip() == "1"
    stored = docker(["exec", stack.container("s3"), "ls", "-R", "/data/mlflow"])
    assert "manifest.json" in stored


def test_what_the_gateway_takes_the_worker_publishes_as_the_gateway_decides(stack: WholeStack) -> None:
    products = pq.read_table(_CATALOGUE, columns=["product_id", "title"]).slice(3_000, 100).to_pylist()
    with httpx.Client(base_url=f"http://127.0.0.1:{stack.ports['GATEWAY']}", timeout=60) as client:
        taken = client.post("/products", json={"products": products})
        assert taken.status_code == 202, taken.text
        decided = client.post("/predict/batch", json={"products": products})
        assert decided.status_code == 200, decided.text
    answers = {answer["product_id"]: answer for answer in decided.json()["results"]}
    lines = stack.sortline("tail", "--from-beginning", "--limit", 20, "--json").splitlines()
    for event in [json.loads(line)["value"] for line in lines]:
        assert event["category_path"] == answers[event["product_id"]]["category_path"]


@pytest.mark.parametrize("service", ["worker", "gateway"])
def test_a_service_that_is_told_to_stop_ends_by_itself(stack: WholeStack, service: str) -> None:
    stack.compose("stop", service)
    assert stack.state(service)["ExitCode"] == 0
    assert not stack.state(service)["OOMKilled"]


def test_passwords_stay_as_they_are_once_they_are_made(stack: WholeStack) -> None:
    before = read_env(stack.env_file)
    prepare(print, cache_dir=default_cache_dir(), env_file=stack.env_file)
    assert read_env(stack.env_file) == before
