"""Workers as processes: what `sortline worker` runs, forked from a process that has imported the libraries."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx

from compose.sockets import free_ports

if TYPE_CHECKING:
    import pyarrow as pa

    from models.classifier import Classifier
    from models.serving.described import DescribedModel
    from schemas.stages import StageClock

#: Importing the model's libraries takes seconds, and a fault is to meet a worker, not its start.
_FORKED: Final = multiprocessing.get_context("forkserver")

_POLL_SECONDS: Final = 0.05
_PATIENCE_SECONDS: Final = 120.0
#: A worker that ends by itself is started again after so long, as a supervisor would.
_RESTART_SECONDS: Final = 1.0


class FaultError(Exception):
    """The run cannot go on: what was waited for did not come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCommand:
    """How a worker is started.

    Attributes:
        arguments: of `sortline`, without the web port.
        variables: of its environment.
        slow_seconds: how long its classifier sleeps for every batch.
    """

    arguments: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    slow_seconds: float = 0.0


def wait_for(what: str, is_so: Callable[[], bool], seconds: float = _PATIENCE_SECONDS) -> None:
    """Wait until it is so. Raises FaultError if that takes too long."""
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            raise FaultError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(_POLL_SECONDS)


class Worker:
    """One worker, started as often as needed; it keeps its port and its log."""

    def __init__(self, name: str, command: WorkerCommand, log_file: Path) -> None:
        self.name = name
        self.log_file = log_file
        self._command = command
        self._process: ForkServerProcess | None = None
        (self._port,) = free_ports(1)

    @property
    def is_running(self) -> bool:
        """Whether the process is there; a stopped one is."""
        return self._process is not None and self._process.is_alive()

    def start(self) -> None:
        """Start it; returns at once."""
        self._process = _FORKED.Process(
            target=_run, args=(self._command, self._port, str(self.log_file)), name=self.name
        )
        self._process.start()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if the process is there."""
        if self._process is not None and self._process.pid is not None and self.is_running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    def exit_code(self, seconds: float = _PATIENCE_SECONDS) -> int:
        """Wait for the end and return the exit code; a signal's number with a minus. Raises FaultError."""
        if self._process is None:
            raise FaultError(f"{self.name} was not started")
        self._process.join(seconds)
        code = self._process.exitcode
        if code is None:
            raise FaultError(f"{self.name} did not end within {seconds:.0f} s")
        return code

    def is_ready(self) -> bool:
        """Whether it has partitions and gets on with them."""
        try:
            return httpx.get(f"http://127.0.0.1:{self._port}/ready", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False


class Workers:
    """The workers of one group, watched: who ends by itself is started again and counted.

    Attributes:
        exits: exit codes of the processes that ended, and how often.
        n_restarts: how often a worker was started again.
    """

    def __init__(self, commands: list[WorkerCommand], folder: Path) -> None:
        _FORKED.set_forkserver_preload(["streams.worker", "sortline.worker"])
        self.all = [Worker(f"worker-{i}", one, folder / f"worker-{i}.log") for i, one in enumerate(commands)]
        self.exits: Counter[int] = Counter()
        self.n_restarts = 0
        self._ended_at: dict[str, float] = {}
        self._tended: set[str] = set()

    def start(self) -> None:
        """Start all, and wait until each has partitions."""
        for worker in self.all:
            worker.start()
        self.wait_ready()

    def wait_ready(self) -> None:
        """Wait until every worker is ready; those that end meanwhile are started again."""
        wait_for("all workers to be ready", self._are_ready)

    def supervise(self) -> None:
        """Start again whoever ended by itself; call it often."""
        for worker in self.all:
            if worker.name in self._tended or worker.is_running:
                continue
            ended_at = self._ended_at.setdefault(worker.name, time.monotonic())
            if time.monotonic() - ended_at >= _RESTART_SECONDS:
                del self._ended_at[worker.name]
                self.restart(worker)

    def restart(self, worker: Worker) -> None:
        """Note how the worker ended, waiting for it if need be, and start it again."""
        self.exits[worker.exit_code()] += 1
        self.n_restarts += 1
        worker.start()

    @contextlib.contextmanager
    def tended(self, worker: Worker) -> Iterator[None]:
        """Leave this worker to the caller meanwhile."""
        self._tended.add(worker.name)
        try:
            yield
        finally:
            self._tended.discard(worker.name)

    def stop(self) -> None:
        """Tell all to stop, wait, and note how they ended."""
        running = [worker for worker in self.all if worker.is_running]
        for worker in running:
            worker.signal(signal.SIGTERM)
        for worker in running:
            self.exits[worker.exit_code()] += 1

    def kill(self) -> None:
        """End whoever is still there."""
        for worker in self.all:
            if worker.is_running:
                worker.signal(signal.SIGKILL)
                worker.exit_code(10)

    def _are_ready(self) -> bool:
        self.supervise()
        return all(worker.is_ready() for worker in self.all)


class SlowClassifier:
    """A classifier that sleeps before it decides; everything else is the other's."""

    def __init__(self, classifier: Classifier, seconds: float) -> None:
        self._classifier = classifier
        self._seconds = seconds

    def __getattr__(self, name: str) -> object:
        return getattr(self._classifier, name)

    def classify(self, products: pa.RecordBatch, clock: StageClock | None = None) -> pa.RecordBatch:
        """Sleep and decide."""
        # The two products of the warm-up are let through: the worker is to be slow, not late.
        if products.num_rows != 2:
            time.sleep(self._seconds)
        return self._classifier.classify(products, clock)


def _run(command: WorkerCommand, port: int, log_file: str) -> None:
    """Be the worker; the body of its process."""
    descriptor = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ.update(command.variables)
    if command.slow_seconds:
        _slow_down(command.slow_seconds)
    from sortline.main import main

    code = main([*command.arguments, "--web-port", str(port)])
    os._exit(code)  # without the pool's threads and the parent's exit handlers


def _slow_down(seconds: float) -> None:
    """Wrap the classifier that the worker of this process is going to load."""
    from streams import worker

    load = worker.open_model

    def load_slow(model: str, tracking_uri: str | None) -> tuple[DescribedModel, int | None]:
        loaded, number = load(model, tracking_uri)
        slow: Any = SlowClassifier(loaded.classifier, seconds)  # a classifier by duck
        return replace(loaded, classifier=slow), number

    worker.open_model = load_slow
