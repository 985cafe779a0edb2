"""Events that flow while workers come and go, workers that join again and again, and what must come of it."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import signal
import sys
import threading
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Message

from tests.integration.streams.conftest import PATIENCE_SECONDS, Topics, WorkerProcess, source, wait_for

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from types import TracebackType

    import faust

    from streams.settings import WorkerSettings

_FORKED: Final = multiprocessing.get_context("forkserver")
_TICK_SECONDS: Final = 0.02


def check_once(stream: Topics, n: int) -> list[Message]:
    """Read all outputs as read_committed readers see them: each of n inputs must have led to exactly one."""
    messages = stream.outputs(n)
    times = Counter(map(source, messages))
    assert len(times) == n
    assert [name for name, count in times.items() if count > 1] == []
    return messages


def partitions_of(worker: WorkerProcess) -> frozenset[int]:
    """Return the partitions of the input that a worker says it has."""
    answer = worker.get("/ready")
    names = answer.json()["partitions"] if answer is not None else ()
    return frozenset(int(name.rsplit("/", 1)[1]) for name in names)


def lags_of(worker: WorkerProcess) -> list[int | None]:
    """Return what /ready says of each partition's lag."""
    answer = worker.get("/ready")
    return [one["lag"] for one in answer.json()["partitions"].values()] if answer is not None else []


class Flow:
    """Produces products at a steady rate inside its `with` block; `n_events` is right after it."""

    def __init__(self, stream: Topics, *, rate: int) -> None:
        self.n_events = 0
        self._stream = stream
        self._rate = rate
        self._ending = threading.Event()
        self._executor = ThreadPoolExecutor(1)
        self._flowing: Future[None]

    def __enter__(self) -> Flow:
        self._flowing = self._executor.submit(self._flow)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._executor.shutdown()
        if error is None:
            self._flowing.result()

    def _flow(self) -> None:
        producer = self._stream.producer()
        while not self._ending.wait(_TICK_SECONDS):
            rows = self._stream.values(max(1, int(self._rate * _TICK_SECONDS)))
            for key, value in rows:
                producer.produce(self._stream.names.created, key=key, value=value)
            producer.poll(0)
            self.n_events += len(rows)
        assert producer.flush(PATIENCE_SECONDS) == 0


class Returning:
    """A worker that joins whenever it is told to, in a process that has loaded the model before.

    What it does is `streams.worker.run_worker` from joining to leaving; that it loads the model once, and says
    more often that it is alive, only saves the test's time.

    Args:
        worker: not started.
        heartbeat_seconds: how often it tells the group that it is alive.
        transaction_seconds: how long Kafka lets its transactions be open; None: as long as ever.
    """

    def __init__(
        self, worker: WorkerProcess, *, heartbeat_seconds: float = 0.1, transaction_seconds: float | None = None
    ) -> None:
        self.worker = worker
        self._n_joined = 0
        ours, theirs = _FORKED.Pipe()
        self._pipe = ours
        worker.process = _FORKED.Process(
            target=_run_when_told,
            args=(worker.settings, str(worker.log_file), heartbeat_seconds, transaction_seconds, theirs),
        )
        worker.process.start()
        theirs.close()

    def join(self) -> WorkerProcess:
        """Let it join the group; returns at once."""
        self._n_joined += 1
        self._pipe.send("join")
        return self.worker

    def leave(self) -> int:
        """Tell it to stop, and return the exit code that the process would have had."""
        self.worker.signal(signal.SIGTERM)
        return self.exit_code()

    def has_ended(self) -> bool:
        """Whether its work is over: an exit code is there, or the whole process is gone."""
        return self._pipe.poll() or self.worker.has_ended()

    def exit_code(self) -> int:
        """Wait for the end of its work, and return the exit code that the process would have had."""
        wait_for("the worker to leave", self.has_ended)
        assert not self.worker.has_ended(), self.worker.log()
        code: int = self._pipe.recv()
        return code


def _run_when_told(
    settings: WorkerSettings,
    log_file: str,
    heartbeat_seconds: float,
    transaction_seconds: float | None,
    pipe: Connection,
) -> None:
    """Be the worker; the body of its process."""
    descriptor = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    from streams import app as app_module
    from streams import worker

    if transaction_seconds is not None:
        # Not a setting: a user who shortened it would only lose work to a slow broker.
        vars(app_module)["_TRANSACTION_TIMEOUT_SECONDS"] = transaction_seconds
    prepare = functools.cache(worker._prepare)
    build_app = vars(worker)["build_app"]

    def build_lively(*arguments: Any, **more: Any) -> faust.App:
        app: faust.App = build_app(*arguments, **more)
        app.conf.broker_heartbeat_interval = heartbeat_seconds
        return app

    worker._prepare = lambda settings: prepare(settings)
    vars(worker)["build_app"] = build_lively
    prepare(settings)
    with contextlib.suppress(EOFError):  # the test is over
        while pipe.recv() == "join":
            pipe.send(worker.run_worker(settings))
            sys.stderr.flush()
