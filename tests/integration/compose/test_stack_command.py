from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from typer.testing import CliRunner, Result

from compose.engine import docker, engine_answers
from compose.processes import DetachedProcess
from compose.services import Endpoints, Ports, StackRecord
from compose.sockets import free_ports, is_listening
from compose.stack import find_stack
from schemas.errors import SetupError
from sortline.stack import app

pytestmark = pytest.mark.integration


class Command:
    """`sortline stack` with a state folder of its own."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.ports = Ports(**dict(zip(("kafka", "registry"), free_ports(2), strict=True)))

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--state-dir", str(self.state_dir)])

    def up(self, engine: str = "jvm") -> Result:
        ports = ["--kafka-port", str(self.ports.kafka), "--registry-port", str(self.ports.registry)]
        return self("up", "--engine", engine, *ports)


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    command = Command(tmp_path / "state")
    yield command
    left = find_stack(state_dir=command.state_dir)
    if left is not None:
        left.down(lambda _: None)


def test_a_stack_of_java_processes_comes_up_once_and_goes_away_whole(command: Command) -> None:
    endpoints = Endpoints.on(command.ports)
    assert command("status").exit_code == 1

    first = command.up()
    assert first.exit_code == 0, first.output
    assert endpoints.bootstrap in first.output
    assert endpoints.registry_url in first.output
    assert AdminClient({"bootstrap.servers": endpoints.bootstrap}).list_topics(timeout=5).brokers
    pids = running_pids(command.state_dir)
    assert len(pids) == 2

    second = command.up()
    assert second.exit_code == 0, second.output
    assert "running already" in second.output
    assert running_pids(command.state_dir) == pids
    status = command("status")
    assert status.exit_code == 0
    assert status.output.count("running") == 2

    assert command("down").exit_code == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert not is_listening(command.ports.kafka)
    assert not is_listening(command.ports.registry)
    assert not (command.state_dir / "data").exists()
    assert command("status").exit_code == 1
    assert "no stack" in command("down").output


def test_a_stack_of_containers_comes_up_once_and_goes_away_whole(command: Command) -> None:
    if not engine_answers():
        pytest.skip("no Docker engine answers here")
    endpoints = Endpoints.on(command.ports)
    containers = [
        "ps",
        "--all",
        "--quiet",
        "--filter",
        f"label=com.docker.compose.project=sortline-{command.ports.kafka}",
    ]

    first = command.up("docker")
    assert first.exit_code == 0, first.output
    assert endpoints.bootstrap in first.output
    assert AdminClient({"bootstrap.servers": endpoints.bootstrap}).list_topics(timeout=5).brokers
    started = docker(containers).split()
    assert len(started) == 2

    second = command.up("docker")
    assert "running already" in second.output
    assert docker(containers).split() == started
    status = command("status")
    assert status.exit_code == 0
    assert status.output.count("running") == 2

    assert command("down").exit_code == 0
    assert docker(containers) == ""
    assert not is_listening(command.ports.kafka)
    assert f"sortline-{command.ports.kafka}" not in docker(["network", "ls"])
    assert command("status").exit_code == 1


def test_a_half_stack_is_started_anew_and_empty(command: Command) -> None:
    assert command.up().exit_code == 0
    endpoints = Endpoints.on(command.ports)
    cluster = AdminClient({"bootstrap.servers": endpoints.bootstrap}).list_topics(timeout=5).cluster_id
    DetachedProcess("registry", command.state_dir).kill()

    assert command("status").exit_code == 1
    again = command.up()
    assert again.exit_code == 0, again.output
    assert "only kafka is left" in again.output
    after = AdminClient({"bootstrap.servers": endpoints.bootstrap}).list_topics(timeout=5).cluster_id
    assert after != cluster


def test_a_taken_port_stops_up_before_anything_is_started(command: Command, bootstrap: str) -> None:
    taken = int(bootstrap.rpartition(":")[2])
    result = command("up", "--engine", "jvm", "--kafka-port", str(taken))
    assert isinstance(result.exception, SetupError)
    assert f"port {taken} for Kafka is taken" in str(result.exception)
    assert StackRecord.read(command.state_dir) is None


def running_pids(state_dir: Path) -> dict[str, int]:
    stack = find_stack(state_dir=state_dir)
    assert stack is not None
    return {
        service.service: int(service.detail.split()[1].rstrip(","))
        for service in stack.status()
        if service.is_running
    }
