"""Processes that are measured: started, watched, and ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.harness.process_cpu import cpu_seconds

_ROOT: Final = Path(__file__).resolve().parents[2]
_STOP_SECONDS: Final = 20.0
_LOG_CHARACTERS: Final = 3_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A process that runs; `metrics` is the address of its counters, if it has any."""

    process: subprocess.Popen[bytes]
    log_file: Path
    metrics: str | None = None

    def check(self) -> None:
        """Raise SystemExit, with the end of its log, if it has ended by itself."""
        if (code := self.process.poll()) is not None:
            log = self.log_file.read_text(errors="replace")[-_LOG_CHARACTERS:]
            raise SystemExit(f"{self.log_file.stem} ended by itself with exit code {code}:\n{log}")

    def cpu_seconds(self) -> float:
        """Return its CPU time until now, children included."""
        return cpu_seconds(self.process.pid)


@contextlib.contextmanager
def run_process(command: Sequence[str], log_file: Path, *, metrics: str | None = None) -> Iterator[Running]:
    """Start a process in an empty folder, and tell it to stop afterwards; killed if it does not.

    Raises SystemExit if it ended by itself.
    """
    # Settings of this shell must not reach what is measured with its defaults.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SORTLINE_")}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
    with log_file.open("wb") as log, tempfile.TemporaryDirectory(prefix="sortline-bench-") as folder:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env={**environment, "PYTHONPATH": str(_ROOT)}, cwd=folder
        )
        try:
            now = Running(process=process, log_file=log_file, metrics=metrics)
            yield now
            now.check()
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            # What it did is measured by then: how long it takes to leave is not.
            process.kill()
            process.wait()
