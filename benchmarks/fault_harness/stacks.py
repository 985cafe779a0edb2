"""A broker that may be killed: that of a stack of the run's own."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Protocol

from compose.engine import docker
from compose.jvm import JvmStack
from compose.readiness import wait_for_kafka
from compose.services import Endpoints, Ports
from compose.sockets import free_ports
from compose.stack import EngineChoice, open_stack

_READY_SECONDS: Final = 120.0


class Broker(Protocol):
    """The broker; its data survive."""

    def kill(self) -> None:
        """End it as kill -9 does."""

    def start(self) -> None:
        """Start it again; returns once it answers."""


class ContainerBroker:
    """A broker in a container."""

    def __init__(self, container: str, bootstrap: str) -> None:
        self._container = container
        self._bootstrap = bootstrap

    def kill(self) -> None:
        """End it; see Broker."""
        docker(["kill", self._container])

    def start(self) -> None:
        """Start it again; see Broker."""
        docker(["start", self._container])
        wait_for_kafka(self._bootstrap, deadline=time.monotonic() + _READY_SECONDS)


class ProcessBroker:
    """A broker that is a Java process."""

    def __init__(self, stack: JvmStack) -> None:
        self._stack = stack

    def kill(self) -> None:
        """End it; see Broker."""
        self._stack.kafka.kill()

    def start(self) -> None:
        """Start it again; see Broker."""
        self._stack.start_kafka()
        wait_for_kafka(self._stack.endpoints.bootstrap, deadline=time.monotonic() + _READY_SECONDS)


@contextlib.contextmanager
def own_stack(
    engine: EngineChoice, folder: Path, say: Callable[[str], None]
) -> Iterator[tuple[Endpoints, Broker]]:
    """Start a stack on free ports, with its state in the folder, and remove it afterwards."""
    kafka_port, registry_port = free_ports(2)
    stack = open_stack(engine, state_dir=folder, ports=Ports(kafka=kafka_port, registry=registry_port))
    try:
        endpoints = stack.up(say)
        if isinstance(stack, JvmStack):
            yield endpoints, ProcessBroker(stack)
        else:
            yield endpoints, ContainerBroker(f"sortline-{kafka_port}-kafka-1", endpoints.bootstrap)
    finally:
        stack.down(say)
