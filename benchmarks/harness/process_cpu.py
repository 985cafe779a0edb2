"""The CPU time of a process and everything it started, from outside, by what Linux tells in /proc."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessTimes:
    """A line of /proc/PID/stat; `ticks` are user and system time, its own and of its children that have ended."""

    pid: int
    parent: int
    ticks: int


def parse_stat(line: str) -> ProcessTimes:
    """Read a line of /proc/PID/stat; the command in it may hold spaces and parentheses.

    >>> parse_stat("7 (a) b) S 1 7 7 0 -1 4 0 0 0 0 10 20 3 4 20 0").ticks
    37
    """
    pid, _, rest = line.partition(" (")
    fields = rest[rest.rindex(")") + 2 :].split()
    return ProcessTimes(pid=int(pid), parent=int(fields[1]), ticks=sum(map(int, fields[11:15])))


def tree_ticks(processes: Iterable[ProcessTimes], root: int) -> int:
    """Add up the ticks of a process and its descendants. Raises ProcessLookupError if it is not there."""
    by_pid = {one.pid: one for one in processes}
    if root not in by_pid:
        raise ProcessLookupError(f"process {root} has ended")
    children: dict[int, list[int]] = {}
    for one in by_pid.values():
        children.setdefault(one.parent, []).append(one.pid)
    total, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        total += by_pid[pid].ticks
        waiting += children.get(pid, [])
    return total


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process, its children included."""
    return tree_ticks(_all_processes(), pid) / os.sysconf("SC_CLK_TCK")


def _all_processes() -> Iterator[ProcessTimes]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):  # it ended meanwhile
                yield parse_stat((folder / "stat").read_text())
