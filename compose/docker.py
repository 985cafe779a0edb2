"""The local stack as two containers: by Docker Compose where the plugin is, by plain `docker run` elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from compose.definition import COMPOSE_FILE, ServiceDefinition, read_definitions
from compose.engine import docker, last_words
from compose.images import ImageNames, obtain_images
from compose.plugins import has_plugin
from compose.readiness import wait_until_ready
from compose.services import Endpoints, EngineName, Ports, Progress, ServiceStatus, StackRecord
from compose.sockets import require_free

_READY_SECONDS: Final = 120.0
_SERVICES: Final = ("kafka", "registry")
# Compose's own labels, so that one rule finds the containers whoever started them, and Compose's commands see
# them.
_PROJECT_LABEL: Final = "com.docker.compose.project"
_SERVICE_LABEL: Final = "com.docker.compose.service"


class DockerStack:
    """The containers of one Compose project, named after the port of Kafka so that two stacks never mix."""

    engine: EngineName = "docker"

    def __init__(self, *, state_dir: Path, cache_dir: Path, ports: Ports, images: ImageNames) -> None:
        self._state_dir = state_dir
        self._cache_dir = cache_dir
        self._ports = ports
        self._images = images
        self.project = f"sortline-{ports.kafka}"

    @property
    def endpoints(self) -> Endpoints:
        """Where the stack listens once it is up."""
        return Endpoints.on(self._ports)

    def up(self, progress: Progress) -> Endpoints:
        """Start what does not run, wait until it is ready, and return the endpoints; blocks up to two minutes.

        A stack of which only half is left is started anew, empty. Raises SetupError for a taken port or images
        that cannot be had, DependencyUnavailableError if a service does not become ready; then nothing is left
        running.
        """
        running = [service for service in _SERVICES if self._running(service)]
        if len(running) == len(_SERVICES):
            progress("Kafka and the registry are running already")
            self._wait()
            return self.endpoints
        if self._containers():
            progress("only a part of an earlier stack is left: starting anew, empty")
            self.down(progress)
        require_free(self._ports.kafka, service="Kafka", setting="--kafka-port")
        require_free(self._ports.registry, service="the registry", setting="--registry-port")
        images = obtain_images(self._images, cache_dir=self._cache_dir, progress=progress)
        variables = {
            "SORTLINE_KAFKA_IMAGE": images.kafka,
            "SORTLINE_REGISTRY_IMAGE": images.registry,
            "SORTLINE_KAFKA_PORT": str(self._ports.kafka),
            "SORTLINE_REGISTRY_PORT": str(self._ports.registry),
        }
        StackRecord(engine=self.engine, ports=self._ports).write(self._state_dir)
        try:
            if has_plugin("compose"):
                progress("starting Kafka and the registry with Docker Compose")
                command = ["compose", "--file", str(COMPOSE_FILE), "--project-name", self.project]
                docker([*command, "up", "--detach"], environment=variables, timeout_seconds=_READY_SECONDS)
            else:
                progress("starting Kafka and the registry as containers")
                docker(["network", "create", "--label", f"{_PROJECT_LABEL}={self.project}", self._network])
                for definition in read_definitions(variables):
                    docker(run_arguments(definition, project=self.project, network=self._network))
            self._wait()
        except BaseException:  # also Ctrl-C: half a stack would hold the ports
            self.down(lambda _: None)
            raise
        return self.endpoints

    def down(self, progress: Progress) -> None:
        """Remove both containers with their data; does nothing if there are none."""
        containers = self._containers()
        if containers:
            progress(f"removing {len(containers)} containers of {self.project}")
            docker(["rm", "--force", "--volumes", *containers])
        networks = docker(["network", "ls", "--quiet", *self._filter()]).split()
        if networks:
            docker(["network", "rm", *networks])
        StackRecord.remove(self._state_dir)

    def status(self) -> tuple[ServiceStatus, ...]:
        """Return the state of Kafka and the registry, in this order."""
        addresses = (self.endpoints.bootstrap, self.endpoints.registry_url)
        return tuple(
            ServiceStatus(
                service=service,
                is_running=self._running(service),
                address=address,
                detail=f"container {self._names(service)}" if self._running(service) else "not running",
            )
            for service, address in zip(_SERVICES, addresses, strict=True)
        )

    @property
    def _network(self) -> str:
        return f"{self.project}_default"

    def _filter(self, service: str | None = None) -> list[str]:
        labels = [f"{_PROJECT_LABEL}={self.project}"] + ([f"{_SERVICE_LABEL}={service}"] if service else [])
        return [argument for label in labels for argument in ("--filter", f"label={label}")]

    def _containers(self) -> list[str]:
        return docker(["ps", "--all", "--quiet", *self._filter()]).split()

    def _running(self, service: str) -> bool:
        return bool(docker(["ps", "--quiet", "--filter", "status=running", *self._filter(service)]).strip())

    def _names(self, service: str) -> str:
        return docker(["ps", "--format", "{{.Names}}", *self._filter(service)]).strip()

    def _wait(self) -> None:
        # The registry keeps its schemas in memory: it has no journal to read, so no health port is published for
        # it.
        wait_until_ready(self.endpoints, timeout_seconds=_READY_SECONDS, obstacle=self._ended_early)

    def _ended_early(self) -> str | None:
        for service in _SERVICES:
            if self._running(service):
                continue
            identity = docker(["ps", "--all", "--quiet", *self._filter(service)]).split()
            said = last_words(identity[0]) if identity else "it is gone"
            return f"the container of {service} ended while it started: {said}"
        return None


def run_arguments(definition: ServiceDefinition, *, project: str, network: str) -> list[str]:
    """Return the arguments of `docker` that start the service as `docker compose up --detach` would."""
    health = definition.health
    arguments = ["run", "--detach", "--name", f"{project}-{definition.name}-1"]
    arguments += ["--label", f"{_PROJECT_LABEL}={project}", "--label", f"{_SERVICE_LABEL}={definition.name}"]
    arguments += ["--network", network, "--network-alias", definition.name, "--hostname", definition.hostname]
    for port in definition.ports:
        arguments += ["--publish", port]
    for name, value in definition.environment.items():
        arguments += ["--env", f"{name}={value}"]
    arguments += ["--health-cmd", health.command, "--health-interval", health.interval]
    arguments += ["--health-timeout", health.timeout, "--health-retries", str(health.retries)]
    return [*arguments, definition.image]
