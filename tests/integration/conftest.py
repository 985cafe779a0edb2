"""A real Kafka and a real schema registry for the tests, started once a run.

Containers where a Docker engine answers (testcontainers, with the services of compose/compose.yaml), otherwise
the same versions as Java processes. From the environment: SORTLINE_TEST_ENGINE is auto, docker or jvm;
SORTLINE_TEST_BOOTSTRAP and SORTLINE_TEST_REGISTRY, given together, name a running stack to use instead.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import pytest
from confluent_kafka.admin import AdminClient

from compose.definition import ServiceDefinition, read_definitions
from compose.images import OFFICIAL, ImageNames, obtain_images
from compose.jvm import JvmStack
from compose.readiness import wait_for_kafka, wait_until_ready
from compose.services import HOST, Endpoints, Ports
from compose.sockets import free_ports
from compose.stack import EngineChoice, choose_engine, default_cache_dir
from schemas.registry import ConfluentRegistry
from schemas.topics import TopicNames, contracts
from sortline.topics import apply_topics

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

_READY_SECONDS: Final = 120.0
PARTITIONS: Final = 3


class Broker(Protocol):
    """The test run's broker, to be broken and mended; its data survive all of it."""

    def kill(self) -> None:
        """End it as kill -9 does."""

    def start(self) -> None:
        """Start it again after `kill`; returns once it answers."""

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers."""

    def unpause(self) -> None:
        """Let it go on; returns once it answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningStack:
    """What the session fixtures hand out; `broker` is None where the stack is not ours to break."""

    engine: str
    endpoints: Endpoints
    broker: Broker | None


@pytest.fixture(scope="session")
def running_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    bootstrap = os.environ.get("SORTLINE_TEST_BOOTSTRAP")
    registry_url = os.environ.get("SORTLINE_TEST_REGISTRY")
    if bootstrap and registry_url:
        endpoints = Endpoints(bootstrap=bootstrap, registry_url=registry_url)
        wait_until_ready(endpoints, timeout_seconds=10.0)
        yield RunningStack(engine="given", endpoints=endpoints, broker=None)
        return
    cache_dir = default_cache_dir()
    wanted = cast("EngineChoice", os.environ.get("SORTLINE_TEST_ENGINE", "auto"))
    engine = choose_engine(wanted, cache_dir=cache_dir)
    with ExitStack() as cleanup:
        if engine == "docker":
            yield _start_containers(cache_dir, cleanup)
        else:
            yield _start_processes(tmp_path_factory.mktemp("stack"), cache_dir, cleanup)


@pytest.fixture(scope="session")
def engine_name(running_stack: RunningStack) -> str:
    """`docker`, `jvm`, or `given` for a stack that was running before."""
    return running_stack.engine


@pytest.fixture(scope="session")
def bootstrap(running_stack: RunningStack) -> str:
    """Kafka's address, host:port."""
    return running_stack.endpoints.bootstrap


@pytest.fixture(scope="session")
def registry_url(running_stack: RunningStack) -> str:
    """The registry's Confluent API."""
    return running_stack.endpoints.registry_url


@pytest.fixture
def broker(running_stack: RunningStack) -> Iterator[Broker]:
    """The broker, to break; whatever the test leaves, the next one finds it running."""
    if running_stack.broker is None:
        pytest.skip("the broker of a given stack is not ours to break")
    yield running_stack.broker
    running_stack.broker.unpause()
    running_stack.broker.start()


@pytest.fixture
def topics(bootstrap: str, registry_url: str) -> Iterator[TopicNames]:
    """The topics of this test alone, 3 partitions each, schemas registered; removed afterwards."""
    names = TopicNames.with_prefix(f"t{uuid.uuid4().hex[:10]}.")
    with contextlib.closing(ConfluentRegistry(registry_url)) as registry:
        apply_topics(bootstrap=bootstrap, registry=registry, names=names, partitions=PARTITIONS)
    yield names
    admin = AdminClient({"bootstrap.servers": bootstrap})
    deletions = admin.delete_topics([contract.topic for contract in contracts(names)])
    wait(deletions.values(), timeout=10.0)  # a topic that stays costs the broker some memory, no more


class ContainerBroker:
    """Faults of a broker in a container."""

    def __init__(self, container: DockerContainer, bootstrap: str) -> None:
        self._container = container
        self._bootstrap = bootstrap

    def kill(self) -> None:
        self._docker.kill()

    def start(self) -> None:
        self._docker.start()  # nothing happens if it runs
        self._wait()

    def pause(self) -> None:
        self._docker.pause()

    def unpause(self) -> None:
        self._docker.reload()
        if self._docker.status == "paused":
            self._docker.unpause()
            self._wait()

    @property
    def _docker(self) -> Any:  # the Docker SDK is not typed
        return self._container.get_wrapped_container()

    def _wait(self) -> None:
        wait_for_kafka(self._bootstrap, deadline=time.monotonic() + _READY_SECONDS)


class ProcessBroker:
    """Faults of a broker that is a Java process."""

    def __init__(self, stack: JvmStack) -> None:
        self._stack = stack

    def kill(self) -> None:
        self._stack.kafka.kill()

    def start(self) -> None:
        if not self._stack.kafka.is_running:
            self._stack.start_kafka()
        self._wait()

    def pause(self) -> None:
        self._stack.kafka.pause()

    def unpause(self) -> None:
        if self._stack.kafka.is_running:
            self._stack.kafka.unpause()
            self._wait()

    def _wait(self) -> None:
        wait_for_kafka(self._stack.endpoints.bootstrap, deadline=time.monotonic() + _READY_SECONDS)


def _start_processes(state_dir: Path, cache_dir: Path, cleanup: ExitStack) -> RunningStack:
    kafka_port, registry_port = free_ports(2)
    stack = JvmStack(
        state_dir=state_dir, cache_dir=cache_dir, ports=Ports(kafka=kafka_port, registry=registry_port)
    )
    cleanup.callback(stack.down, _silent)
    endpoints = stack.up(_silent)
    return RunningStack(engine="jvm", endpoints=endpoints, broker=ProcessBroker(stack))


def _start_containers(cache_dir: Path, cleanup: ExitStack) -> RunningStack:
    images = obtain_images(_wanted_images(), cache_dir=cache_dir, progress=_silent)
    # The host ports are chosen here: a container that is started again would get new ones from Docker, and the
    # broker's advertised address would lie.
    kafka_port, registry_port = free_ports(2)
    variables = {
        "SORTLINE_KAFKA_IMAGE": images.kafka,
        "SORTLINE_REGISTRY_IMAGE": images.registry,
        "SORTLINE_KAFKA_PORT": str(kafka_port),
        "SORTLINE_REGISTRY_PORT": str(registry_port),
    }
    containers = {definition.name: _container(definition, cleanup) for definition in read_definitions(variables)}
    endpoints = Endpoints.on(Ports(kafka=kafka_port, registry=registry_port))
    wait_until_ready(endpoints, timeout_seconds=_READY_SECONDS)
    broker = ContainerBroker(containers["kafka"], endpoints.bootstrap)
    return RunningStack(engine="docker", endpoints=endpoints, broker=broker)


def _container(definition: ServiceDefinition, cleanup: ExitStack) -> DockerContainer:
    # Its helper container for cleaning up is an image of its own, which may not be had; `cleanup` does that work.
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    from testcontainers.core.container import DockerContainer

    container = DockerContainer(definition.image, env=dict(definition.environment), hostname=definition.hostname)
    for published in definition.ports:
        host_port, container_port = published.split(":")[-2:]
        # As in compose.yaml on this machine only; the method's type has no address, Docker's SDK takes a pair.
        container.ports[container_port] = cast("Any", (HOST, int(host_port)))
    cleanup.callback(container.stop)
    return container.start()


def _wanted_images() -> ImageNames:
    return ImageNames(
        kafka=os.environ.get("SORTLINE_TEST_KAFKA_IMAGE", OFFICIAL.kafka),
        registry=os.environ.get("SORTLINE_TEST_REGISTRY_IMAGE", OFFICIAL.registry),
    )


def _silent(_: str) -> None:
    return
