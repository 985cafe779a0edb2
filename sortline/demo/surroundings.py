"""What the demo starts, each as a context that ends it again, also after a failure or Ctrl-C."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

from compose.images import ImageNames
from compose.services import Endpoints, Ports
from compose.sockets import free_ports
from compose.stack import open_stack
from schemas.errors import SortlineError
from schemas.registry import SchemaRegistry
from schemas.topics import TopicNames, contracts
from sortline.broker import delete_topics
from sortline.demo.narration import Narrator
from sortline.settings import SortlineSettings
from sortline.topics import apply_topics

_PARTITIONS: Final = 3
_READY_SECONDS: Final = 60.0
_READY_POLL_SECONDS: Final = 0.1
#: Longer than the worker's own deadline for SIGTERM, after which it leaves by itself.
_STOP_SECONDS: Final = 30.0
_LOG_LINES_SHOWN: Final = 12


@contextmanager
def workspace() -> Iterator[Path]:
    """Give a temporary folder and remove it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="sortline-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Let SIGTERM unwind the program as Ctrl-C does; by default it dies at once and leaves processes behind."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def all_ended() -> Iterator[ExitStack]:
    """Give a stack of what is to be ended afterwards; Ctrl-C and SIGTERM have to wait until all of it is."""
    ends = ExitStack()
    try:
        yield ends
    finally:
        with _interrupts_deferred():
            ends.close()


@contextmanager
def _interrupts_deferred() -> Iterator[None]:
    noted: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        noted.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if noted:
        raise KeyboardInterrupt


@contextmanager
def fresh_stack(settings: SortlineSettings, state_dir: Path, narrator: Narrator) -> Iterator[Endpoints]:
    """Run Kafka and a schema registry of the demo's own, on free ports."""
    kafka_port, registry_port = free_ports(2)
    stack = open_stack(
        settings.engine,
        state_dir=state_dir,
        cache_dir=settings.cache_dir,
        ports=Ports(kafka=kafka_port, registry=registry_port),
        images=ImageNames(kafka=settings.kafka_image, registry=settings.registry_image),
    )
    try:
        with narrator.step("Starting Kafka and a schema registry") as step:
            endpoints = stack.up(step.say)
            how = "containers" if stack.engine == "docker" else "Java processes"
            step.done = f"Kafka at {endpoints.bootstrap} and a schema registry are up ({how})"
        yield endpoints
    finally:
        with narrator.step("Kafka and the schema registry are ended"):
            stack.down(lambda _sentence: None)


@contextmanager
def own_topics(
    place: Endpoints, registry: SchemaRegistry, names: TopicNames, narrator: Narrator, *, remove: bool
) -> Iterator[None]:
    """Create the topics; with `remove` delete them afterwards, for a broker that goes on."""
    try:
        with narrator.step("Creating the topics and registering the schemas") as step:
            reports = apply_topics(
                bootstrap=place.bootstrap, registry=registry, names=names, partitions=_PARTITIONS
            )
            n_schemas = sum(report.schema_id is not None for report in reports)
            step.done = f"{len(reports)} topics of {_PARTITIONS} partitions, {n_schemas} schemas registered"
        yield
    finally:
        if remove:
            topics = [contract.topic for contract in contracts(names)]
            with narrator.step(f"The {len(topics)} topics of the demo are deleted"):
                delete_topics(place.bootstrap, topics)


class WorkerProcess:
    """A worker in a process of its own, as in production; its output goes to a file."""

    def __init__(self, options: Sequence[str], *, log: Path) -> None:
        (web_port,) = free_ports(1)
        self._ready_url = f"http://127.0.0.1:{web_port}/ready"
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sortline", "worker", *options, "--web-port", str(web_port)],
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C goes to the whole foreground group; the worker is ended by us, after the story is told.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Return once the worker has its partitions.

        Raises SortlineError with the last lines of its log if it ends or is not ready within a minute.
        """
        deadline = time.monotonic() + _READY_SECONDS
        while not self._is_ready():
            self.require_alive()
            if time.monotonic() > deadline:
                raise SortlineError(f"the worker was not ready within {_READY_SECONDS:.0f} s:\n{self.log_tail()}")
            time.sleep(_READY_POLL_SECONDS)

    def wait(self) -> int:
        """Wait until the worker ends by itself; return its exit code."""
        return self._process.wait()

    def require_alive(self) -> None:
        """Raise SortlineError with the last lines of the log if the worker has ended."""
        if self._process.poll() is not None:
            raise SortlineError(f"the worker ended with exit code {self._process.returncode}:\n{self.log_tail()}")

    def log_tail(self) -> str:
        """Return the last lines that the worker wrote."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-_LOG_LINES_SHOWN:])

    def stop(self) -> int:
        """End the worker with SIGTERM, or by force if it does not go; return its exit code."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
        return self._process.wait()

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(self._ready_url, timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False
