"""Processes that outlive the command that started them, and are found again by a later one.

A process is remembered by its pid *and* its start time: a pid alone may by now belong to a stranger, which must
never get our signals.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from schemas.errors import SetupError

_POLL_SECONDS: Final = 0.05


class DetachedProcess:
    """One named process: `<name>.json` says which it is, `<name>.log` has what it prints."""

    def __init__(self, name: str, state_dir: Path) -> None:
        self.name = name
        self._identity_file = state_dir / f"{name}.json"
        self.log = state_dir / f"{name}.log"

    @property
    def pid(self) -> int | None:
        """The pid of the process, or None if it does not run."""
        try:
            stored = json.loads(self._identity_file.read_text(encoding="utf-8"))
            pid, started = int(stored["pid"]), str(stored["started"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return pid if _start_time(pid) == started else None

    @property
    def is_running(self) -> bool:
        """Whether the very process that was started is there (a paused one is)."""
        return self.pid is not None

    def start(self, command: Sequence[str], *, cwd: Path, environment: Mapping[str, str] | None = None) -> None:
        """Start the command in a session of its own; what it prints replaces the log of an earlier run.

        Raises SetupError if it cannot be started at all.
        """
        self._identity_file.parent.mkdir(parents=True, exist_ok=True)
        # The shell leaves at once, so the process is not our child: nobody has to wait for it, and it stays when
        # we end. The shell's own session shields it from the terminal's Ctrl-C.
        launched = subprocess.run(
            [
                "/bin/sh",
                "-c",
                'log=$1; shift; "$@" >"$log" 2>&1 </dev/null & echo $!',
                "sh",
                str(self.log),
                *command,
            ],
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        pid = int(launched.stdout)
        started = _start_time(pid)
        if started is None:
            raise SetupError(f"{self.name} ended as soon as it was started: {self.last_words()}")
        self._identity_file.write_text(json.dumps({"pid": pid, "started": started}), encoding="utf-8")

    def stop(self, *, grace_seconds: float = 15.0) -> None:
        """End the process and wait for it: SIGTERM, and SIGKILL if that is not heeded in time."""
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)
        if not self._wait_for_end(grace_seconds):
            self.kill()
        self._identity_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """End the process without letting it finish anything (kill -9), and wait until it is gone."""
        self._signal(signal.SIGKILL)
        self._wait_for_end(10.0)

    def pause(self) -> None:
        """Freeze the process where it is: its connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def unpause(self) -> None:
        """Let a paused process go on."""
        self._signal(signal.SIGCONT)

    def last_words(self, lines: int = 3) -> str:
        """Return the last lines of the log on one line, for an error message."""
        try:
            printed = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        except FileNotFoundError:
            return "it printed nothing"
        said = [line.strip() for line in printed if line.strip()]
        return " | ".join(said[-lines:]) or "it printed nothing"

    def _signal(self, number: signal.Signals) -> None:
        pid = self.pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _wait_for_end(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.is_running:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True


def _start_time(pid: int) -> str | None:
    """Return when the process started, in the unit of the system, or None if there is no such live process."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # The second field is the command in parentheses and may contain anything; state is field 3, start 22.
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in "ZX" else fields[19]
    ps = shutil.which("ps")
    if ps is None:
        raise SetupError(
            "neither /proc nor the command ps is here: the JVM engine cannot tell its processes apart"
        )
    found = subprocess.run(
        [ps, "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, started = found.stdout.strip().partition(" ")
    return None if not started or state.startswith("Z") else started.strip()
