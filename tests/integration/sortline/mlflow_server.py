"""A real MLflow server for the tests: a database of its own, artifacts only through it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from compose.sockets import free_ports


@dataclass(frozen=True, slots=True, kw_only=True)
class MlflowServer:
    """Where it answers, and the folder that only the server should touch."""

    uri: str
    artifacts: Path
    process: subprocess.Popen[bytes]

    def wait(self) -> None:
        """Return once it answers."""
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline:
            assert self.process.poll() is None, "the MLflow server ended: see mlflow.log"
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.uri}/health", timeout=2).is_success:
                    return
            time.sleep(0.1)
        raise TimeoutError("the MLflow server does not answer")


@contextlib.contextmanager
def started(folder: Path) -> Iterator[MlflowServer]:
    """Start a server, which goes on starting meanwhile, and end it with all its processes."""
    (port,) = free_ports(1)
    artifacts = folder / "artifacts"
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--artifacts-destination", str(artifacts)),
    ]
    with (folder / "mlflow.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            # Its job runners are half a dozen processes that nothing here asks anything of.
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield MlflowServer(uri=f"http://127.0.0.1:{port}", artifacts=artifacts, process=process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # told politely, it waits for clients that keep connections
        process.wait(20)
