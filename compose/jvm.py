"""The local stack as two Java processes, for machines without a container engine."""

from __future__ import annotations

import base64
import shutil
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from compose.artifacts import Artifacts, fetch_artifacts
from compose.java import find_java
from compose.processes import DetachedProcess
from compose.readiness import wait_until_ready
from compose.services import HOST, Endpoints, EngineName, Ports, Progress, ServiceStatus, StackRecord
from compose.sockets import free_ports, require_free
from schemas.errors import SetupError, SortlineError

_READY_SECONDS: Final = 90.0
_KAFKA_HEAP: Final = ("-Xms256m", "-Xmx1g")
_REGISTRY_HEAP: Final = ("-Xmx400m",)
# For what runs briefly or does little: no second compiler. The registry starts with 5 instead of 8 CPU seconds.
_QUICK_START: Final = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


class JvmStack:
    """Kafka and Apicurio Registry as detached processes whose pids, logs and data are in the state folder.

    Made by `open_stack`. `kafka` and `registry` are the processes themselves, for tests of faults.
    """

    engine: EngineName = "jvm"

    def __init__(self, *, state_dir: Path, cache_dir: Path, ports: Ports) -> None:
        self._state_dir = state_dir
        self._cache_dir = cache_dir
        self._ports = ports
        self.kafka = DetachedProcess("kafka", state_dir)
        self.registry = DetachedProcess("registry", state_dir)

    @property
    def endpoints(self) -> Endpoints:
        """Where the stack listens once it is up."""
        return Endpoints.on(self._ports)

    def up(self, progress: Progress) -> Endpoints:
        """Start what does not run, wait until it is ready, and return the endpoints; blocks up to 90 s.

        A stack of which only half is left is started anew, empty. Raises SetupError for a taken port or missing
        Java, DependencyUnavailableError if a service does not become ready; then nothing is left running.
        """
        record = StackRecord.read(self._state_dir)
        running = [process for process in (self.kafka, self.registry) if process.is_running]
        if len(running) == 2 and record is not None:
            progress("Kafka and the registry are running already")
            self._wait(record)
            return self.endpoints
        if running:
            progress(f"only {running[0].name} is left of an earlier stack: starting anew, empty")
            self.down(progress)
        require_free(self._ports.kafka, service="Kafka", setting="--kafka-port")
        require_free(self._ports.registry, service="the registry", setting="--registry-port")
        java = find_java()
        artifacts = fetch_artifacts(self._cache_dir, progress)
        controller_port, management_port = free_ports(2)
        record = StackRecord(
            engine=self.engine, ports=self._ports, controller_port=controller_port, management_port=management_port
        )
        progress("starting Kafka and the registry as Java processes")
        record.write(self._state_dir)
        try:
            self._start_registry(java, artifacts, record)
            self._format_storage(java, artifacts, record)
            self.start_kafka()
            self._wait(record)
        except BaseException:  # also Ctrl-C: half a stack would hold the ports
            self.down(lambda _: None)
            raise
        return self.endpoints

    def start_kafka(self) -> None:
        """Start the broker again on the data it had; does not wait until it is ready."""
        command = [str(find_java()), *_KAFKA_HEAP, *_java_options(), *_classpath(self._artifacts())]
        self.kafka.start([*command, "kafka.Kafka", str(self._properties)], cwd=self._state_dir)

    def down(self, progress: Progress) -> None:
        """End both processes and remove their data; does nothing if there is no stack."""
        for process in (self.registry, self.kafka):
            if process.is_running:
                progress(f"ending {process.name} (pid {process.pid})")
                process.stop()
        shutil.rmtree(self._data_dir, ignore_errors=True)
        StackRecord.remove(self._state_dir)

    def status(self) -> tuple[ServiceStatus, ...]:
        """Return the state of Kafka and the registry, in this order."""
        addresses = (self.endpoints.bootstrap, self.endpoints.registry_url)
        return tuple(
            ServiceStatus(
                service=process.name,
                is_running=process.is_running,
                address=address,
                detail=f"pid {process.pid}, log {process.log}" if process.is_running else "not running",
            )
            for process, address in zip((self.kafka, self.registry), addresses, strict=True)
        )

    @property
    def _data_dir(self) -> Path:
        return self._state_dir / "data"

    @property
    def _properties(self) -> Path:
        return self._state_dir / "server.properties"

    def _artifacts(self) -> Artifacts:
        return fetch_artifacts(self._cache_dir, lambda _: None)

    def _wait(self, record: StackRecord) -> None:
        wait_until_ready(
            self.endpoints,
            timeout_seconds=_READY_SECONDS,
            obstacle=self._ended_early,
            health_url=f"http://{HOST}:{record.management_port}/health/ready",
        )

    def _ended_early(self) -> str | None:
        for process in (self.kafka, self.registry):
            if not process.is_running:
                return f"{process.name} ended while it started (log {process.log}): {process.last_words()}"
        return None

    def _start_registry(self, java: Path, artifacts: Artifacts, record: StackRecord) -> None:
        settings = {
            "QUARKUS_HTTP_HOST": HOST,
            "QUARKUS_HTTP_PORT": str(record.ports.registry),
            "QUARKUS_MANAGEMENT_HOST": HOST,
            "QUARKUS_MANAGEMENT_PORT": str(record.management_port),
        }
        command = [str(java), *_REGISTRY_HEAP, *_QUICK_START, "-jar", str(artifacts.registry / "quarkus-run.jar")]
        self.registry.start(command, cwd=artifacts.registry, environment=settings)

    def _format_storage(self, java: Path, artifacts: Artifacts, record: StackRecord) -> None:
        shutil.rmtree(self._data_dir, ignore_errors=True)
        self._data_dir.mkdir(parents=True)
        text = "".join(f"{name}={value}\n" for name, value in server_properties(record, self._data_dir).items())
        self._properties.write_text(text, encoding="utf-8")
        command = [str(java), *_QUICK_START, *_classpath(artifacts), "kafka.tools.StorageTool", "format"]
        formatted = subprocess.run(
            [*command, "--cluster-id", new_cluster_id(), "--config", str(self._properties)],
            capture_output=True,
            text=True,
            check=False,
        )
        if formatted.returncode != 0:
            said = formatted.stderr.strip() or formatted.stdout.strip()
            raise SortlineError(f"Kafka's storage in {self._data_dir} could not be prepared: {said}")


def server_properties(record: StackRecord, data_dir: Path) -> Mapping[str, str]:
    """Return the settings of a one-node Kafka for development, as in compose.yaml."""
    if record.controller_port == 0:
        raise SetupError("the stack's record has no controller port: run `sortline stack down`, then up")
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{HOST}:{record.controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"CLIENT://{HOST}:{record.ports.kafka},CONTROLLER://{HOST}:{record.controller_port}",
        "advertised.listeners": f"CLIENT://{HOST}:{record.ports.kafka}",
        "inter.broker.listener.name": "CLIENT",
        "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(data_dir),
        **SINGLE_NODE,
    }


#: Settings that both engines give the broker: compose.yaml has the same (a test compares).
SINGLE_NODE: Final[Mapping[str, str]] = {
    # One broker holds every copy.
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # Fifty partitions each are for clusters: creating them costs the first group and transaction seconds here.
    "offsets.topic.num.partitions": "5",
    "transaction.state.log.num.partitions": "5",
    "share.coordinator.state.topic.num.partitions": "5",
    # No wait for further members of a new group.
    "group.initial.rebalance.delay.ms": "0",
    # After a kill the broker is fenced until its old session ends: 16 s to the next write by default, 7 s so.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # A misspelt topic is an error, not a new topic with the wrong partitions.
    "auto.create.topics.enable": "false",
}


def new_cluster_id() -> str:
    """Return a random id in the form that Kafka wants: 16 bytes as URL-safe base64, without padding."""
    while True:
        identity = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not identity.startswith("-"):  # which the storage tool would take for an option
            return identity


def _classpath(artifacts: Artifacts) -> list[str]:
    return ["-cp", f"{artifacts.kafka}/*"]


def _java_options() -> list[str]:
    return ["-Dorg.slf4j.simpleLogger.showDateTime=true", "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS"]
