"""How far long work has come: a bar on a terminal, a line a step elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)


class StepProgress:
    """Shows steps and their advance; what `training.progress.Progress` asks for. Use it as a context.

    On a terminal the current step is a bar that stays when it is done; in a pipe each step is one line with its
    duration, so that a log keeps no control codes.
    """

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._bars = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._current: tuple[str, float] | None = None
        self._bar: TaskID | None = None

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._end_step()
        self._bars.stop()

    def step(self, name: str, total: int | None = None) -> None:
        """Start the step `name`; the one before it is done. `total` sums up its advances, None if unknown."""
        self._end_step()
        self._current = (name, self._clock())
        if self._console.is_terminal:
            self._bar = self._bars.add_task(name, total=total)

    def advance(self, amount: int = 1) -> None:
        """Report that `amount` more of the current step is done."""
        if self._bar is not None:
            self._bars.advance(self._bar, amount)

    def _end_step(self) -> None:
        if self._current is None:
            return
        name, started = self._current
        self._current = None
        if self._bar is None:
            self._console.print(f"  {name}: {self._clock() - started:.1f} s", soft_wrap=True)
            return
        task = next(task for task in self._bars.tasks if task.id == self._bar)
        done = max(task.completed, 1)
        self._bars.update(self._bar, total=done, completed=done)
