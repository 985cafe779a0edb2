"""Where the CPU time of a batch goes, by stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

#: Stages of scoring, in their order, as `StageClock` and the worker's table name them.
DECODE: Final = "decode"
VALIDATE: Final = "validate"
DENSE: Final = "dense"
NGRAMS: Final = "n-grams"
TEXT_MODEL: Final = "text model"
TREES: Final = "trees"
DECIDE: Final = "calibrate+decide"
ENCODE: Final = "encode"


class StageClock:
    """Adds up the CPU time of one thread by stage. A lap costs a system call, some 0.3 us.

    Not for several threads at once: CPU time is a thread's own, so one thread calls `start` and the laps after it.

    >>> clock = StageClock(iter([5, 25, 26, 30, 32]).__next__)
    >>> clock.start(); clock.lap("decode"); clock.lap("trees")
    >>> clock.start(); clock.lap("trees")
    >>> clock.nanoseconds
    {'decode': 20, 'trees': 3}
    """

    __slots__ = ("_last", "_now_ns", "nanoseconds")

    def __init__(self, now_ns: Callable[[], int] = time.thread_time_ns) -> None:
        self._now_ns = now_ns
        self._last = 0
        self.nanoseconds: dict[str, int] = {}

    def start(self) -> None:
        """Begin a batch: what went before is nobody's."""
        self._last = self._now_ns()

    def lap(self, stage: str) -> None:
        """Give a stage the time since the lap before, or the start."""
        now = self._now_ns()
        self.nanoseconds[stage] = self.nanoseconds.get(stage, 0) + now - self._last
        self._last = now

    def taken(self) -> Mapping[str, int]:
        """Return the nanoseconds by stage since this was last asked, and begin anew."""
        taken, self.nanoseconds = self.nanoseconds, {}
        return taken
