from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from compose.definition import read_definitions
from compose.docker import run_arguments
from compose.images import OFFICIAL
from compose.jvm import SINGLE_NODE
from compose.services import DEFAULT_KAFKA_PORT, DEFAULT_REGISTRY_PORT
from schemas.errors import SetupError

MINIMAL = """
services:
  kafka:
    image: ${IMAGE:-apache/kafka}
    ports: ["127.0.0.1:${PORT:-9092}:9092"]
    environment: {KAFKA_PRICE: "$$5 of ${PORT:-9092} ${UNSET}"}
    healthcheck: {test: [CMD-SHELL, "true"], interval: 1s, timeout: 1s, retries: 3}
"""


def test_without_variables_the_file_gives_the_official_images_on_the_default_ports() -> None:
    kafka, registry = read_definitions({})
    assert (kafka.image, registry.image) == (OFFICIAL.kafka, OFFICIAL.registry)
    assert kafka.ports == (f"127.0.0.1:{DEFAULT_KAFKA_PORT}:9092",)
    assert registry.ports == (f"127.0.0.1:{DEFAULT_REGISTRY_PORT}:8080",)


def test_a_port_moves_the_advertised_address_with_it() -> None:
    kafka, _ = read_definitions({"SORTLINE_KAFKA_PORT": "19092"})
    assert kafka.ports == ("127.0.0.1:19092:9092",)
    assert "CLIENT://127.0.0.1:19092," in kafka.environment["KAFKA_ADVERTISED_LISTENERS"]


def test_nothing_is_published_beyond_this_machine() -> None:
    for definition in read_definitions({}):
        assert all(port.startswith("127.0.0.1:") for port in definition.ports)


def test_both_engines_give_the_broker_the_same_settings() -> None:
    kafka, _ = read_definitions({})
    own = {"PROCESS", "NODE", "CONTROLLER", "LISTENERS", "ADVERTISED", "INTER", "LISTENER", "LOG"}
    tuned = {name: value for name, value in kafka.environment.items() if name.split("_")[1] not in own}
    assert tuned == {f"KAFKA_{name.replace('.', '_').upper()}": value for name, value in SINGLE_NODE.items()}


def test_variables_are_replaced_as_compose_does(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(MINIMAL, encoding="utf-8")
    (kafka,) = read_definitions({"IMAGE": "mine:1", "PORT": ""}, file=file)
    assert kafka.image == "mine:1"
    assert kafka.environment == {"KAFKA_PRICE": "$5 of 9092 "}


@pytest.mark.parametrize("addition", ["    volumes: [data:/data]\n", "    depends_on: [other]\n"])
def test_what_plain_docker_would_ignore_is_refused(tmp_path: Path, addition: str) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(MINIMAL + addition, encoding="utf-8")
    with pytest.raises(SetupError, match=r"kafka has (volumes|depends_on), which `stack up` would ignore"):
        read_definitions({}, file=file)


def test_a_container_is_started_with_all_that_the_file_says() -> None:
    kafka, _ = read_definitions({})
    arguments = run_arguments(kafka, project="p", network="n")
    assert arguments[:2] == ["run", "--detach"]
    assert arguments[-1] == kafka.image
    pairs = list(pairwise(arguments))
    assert ("--publish", kafka.ports[0]) in pairs
    assert ("--health-cmd", kafka.health.command) in pairs
    assert ("--label", "com.docker.compose.project=p") in pairs
    for name, value in kafka.environment.items():
        assert ("--env", f"{name}={value}") in pairs
