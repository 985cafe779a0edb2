"""The local stack, whichever engine runs it: open it, bring it up, look at it, take it down."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final, Literal, Protocol

from compose.artifacts import locate_artifacts
from compose.docker import DockerStack
from compose.engine import engine_answers
from compose.images import OFFICIAL, ImageNames
from compose.java import find_java
from compose.jvm import JvmStack
from compose.services import Endpoints, EngineName, Ports, Progress, ServiceStatus, StackRecord
from schemas.errors import SetupError

EngineChoice = Literal["auto", "docker", "jvm"]

_NO_ENGINE: Final = (
    "Kafka cannot be run here: start Docker (or set DOCKER_HOST), or install Maven so that Kafka can run as a "
    "Java process"
)


class Stack(Protocol):
    """A Kafka broker and a schema registry on this machine, found again through the state folder."""

    engine: EngineName

    @property
    def endpoints(self) -> Endpoints:
        """Where the stack listens once it is up."""

    def up(self, progress: Progress) -> Endpoints:
        """Start what does not run and return once both answer; a second call changes nothing.

        Raises SetupError for what a person must change, DependencyUnavailableError if a service does not come up.
        """

    def down(self, progress: Progress) -> None:
        """End exactly what `up` started and remove its data; does nothing if nothing runs."""

    def status(self) -> tuple[ServiceStatus, ...]:
        """Return the state of each service; starts nothing."""


def open_stack(
    engine: EngineChoice = "auto",
    *,
    state_dir: Path | None = None,
    cache_dir: Path | None = None,
    ports: Ports | None = None,
    images: ImageNames | None = None,
) -> Stack:
    """Return the stack of the state folder, without starting anything.

    With `auto` it is the engine that an earlier `up` used, otherwise Docker if an engine answers within 3 s,
    otherwise Java processes. Without `ports` it is those of the earlier `up`, otherwise 9092 and 8081.

    Raises SetupError if no engine is possible, or if a stack with another engine or other ports was not taken
    down.
    """
    state_dir, cache_dir = _folders(state_dir, cache_dir)
    record = StackRecord.read(state_dir)
    if record is None:
        chosen = choose_engine(engine, cache_dir=cache_dir)
        record = StackRecord(engine=chosen, ports=ports or Ports())
    elif engine not in ("auto", record.engine) or ports not in (None, record.ports):
        raise SetupError(
            f"a stack with engine {record.engine} on ports {record.ports.kafka} and {record.ports.registry} was "
            "started before: run `sortline stack down` first, or use another --state-dir"
        )
    return _stack(record, state_dir=state_dir, cache_dir=cache_dir, images=images or OFFICIAL)


def find_stack(*, state_dir: Path | None = None, cache_dir: Path | None = None) -> Stack | None:
    """Return the stack that an earlier `up` started from the state folder, or None if there is none."""
    state_dir, cache_dir = _folders(state_dir, cache_dir)
    record = StackRecord.read(state_dir)
    return None if record is None else _stack(record, state_dir=state_dir, cache_dir=cache_dir, images=OFFICIAL)


def choose_engine(wanted: EngineChoice, *, cache_dir: Path) -> EngineName:
    """Return the engine to start a new stack with.

    Raises SetupError that says what to install if the wanted one, or with `auto` any, is impossible.
    """
    if wanted == "docker":
        if not engine_answers():
            raise SetupError("no Docker engine answers: start it, set DOCKER_HOST, or use --engine jvm")
        return "docker"
    if wanted == "jvm":
        return "jvm"  # what it lacks is said, more exactly, by the step that needs it
    if engine_answers():
        return "docker"
    if shutil.which("mvn") is None and not locate_artifacts(cache_dir).are_complete:
        raise SetupError(_NO_ENGINE)
    find_java()
    return "jvm"


def default_state_dir() -> Path:
    """Return the folder of this user's stack: one a user, found from any working directory."""
    return _xdg("XDG_STATE_HOME", ".local/state") / "sortline" / "stack"


def default_cache_dir() -> Path:
    """Return the folder of what is downloaded once."""
    return _xdg("XDG_CACHE_HOME", ".cache") / "sortline"


def _xdg(variable: str, fallback: str) -> Path:
    # The XDG rule: a relative path in the variable is to be ignored.
    given = os.environ.get(variable, "")
    return Path(given) if given.startswith("/") else Path.home() / fallback


def _folders(state_dir: Path | None, cache_dir: Path | None) -> tuple[Path, Path]:
    return (state_dir or default_state_dir()).absolute(), (cache_dir or default_cache_dir()).absolute()


def _stack(record: StackRecord, *, state_dir: Path, cache_dir: Path, images: ImageNames) -> Stack:
    if record.engine == "jvm":
        return JvmStack(state_dir=state_dir, cache_dir=cache_dir, ports=record.ports)
    return DockerStack(state_dir=state_dir, cache_dir=cache_dir, ports=record.ports, images=images)
