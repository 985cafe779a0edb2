"""What every engine of the local stack has in common: where it listens, and how it tells its state."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

EngineName = Literal["docker", "jvm"]

#: Called with one sentence a step, for a person who waits.
Progress = Callable[[str], None]

#: Everything listens on this address only: the stack has no passwords.
HOST: Final = "127.0.0.1"
DEFAULT_KAFKA_PORT: Final = 9092
DEFAULT_REGISTRY_PORT: Final = 8081
#: The path under which Apicurio Registry speaks the Confluent API.
REGISTRY_PATH: Final = "/apis/ccompat/v7"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The two ports that clients of the stack connect to."""

    kafka: int = DEFAULT_KAFKA_PORT
    registry: int = DEFAULT_REGISTRY_PORT


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """What a client of the stack needs to know."""

    bootstrap: str
    registry_url: str

    @classmethod
    def on(cls, ports: Ports) -> Endpoints:
        """Return the endpoints of a stack that listens on these ports of this machine."""
        return cls(
            bootstrap=f"{HOST}:{ports.kafka}", registry_url=f"http://{HOST}:{ports.registry}{REGISTRY_PATH}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """One service as it is now; `detail` says where it runs and where its log is."""

    service: str
    is_running: bool
    address: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StackRecord:
    """What `up` leaves in the state folder, so that `down` and `status` find the stack again.

    The internal ports are those of the JVM engine that no client uses: Kafka's controller and the registry's
    health.
    """

    engine: EngineName
    ports: Ports
    controller_port: int = 0
    management_port: int = 0

    def write(self, state_dir: Path) -> None:
        """Store the record, replacing an older one."""
        state_dir.mkdir(parents=True, exist_ok=True)
        _path(state_dir).write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, state_dir: Path) -> StackRecord | None:
        """Return the stored record, or None if no stack was started from this state folder."""
        try:
            fields = json.loads(_path(state_dir).read_text(encoding="utf-8"))
            return cls(**{**fields, "ports": Ports(**fields["ports"])})
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    @staticmethod
    def remove(state_dir: Path) -> None:
        """Forget the stack."""
        _path(state_dir).unlink(missing_ok=True)


def _path(state_dir: Path) -> Path:
    return state_dir / "stack.json"
