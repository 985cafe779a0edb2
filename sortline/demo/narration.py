"""Tells the steps of the demo: one line each, with its duration; a spinner meanwhile where there is a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.status import Status

_LINE_WIDTH: Final = 98


class Step:
    """One step while it runs. Also takes the place of `training.progress.Progress`."""

    def __init__(self, doing: str, status: Status | None) -> None:
        #: What the line says once the step is over; set it to what came out.
        self.done = doing
        self._doing = doing
        self._status = status

    def say(self, detail: str) -> None:
        """Show what goes on right now; nothing of it stays."""
        if self._status is not None:
            self._status.update(f"{self._doing}: {detail}")

    def step(self, name: str, total: int | None = None) -> None:
        """Show the part of the step that begins."""
        del total
        self.say(name)

    def advance(self, amount: int = 1) -> None:
        """Ignore the advance: the spinner turns anyway."""


class Narrator:
    """Prints the story to a console."""

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock

    def say(self, sentence: str = "", *, style: str = "") -> None:
        """Print a line of its own."""
        self._console.print(sentence, style=style, soft_wrap=True)

    @contextmanager
    def step(self, doing: str) -> Iterator[Step]:
        """Run the body as one step: its line, with mark and duration, comes when it is over, or has failed."""
        started = self._clock()
        status = self._console.status(doing) if self._console.is_terminal else None
        step = Step(doing, status)
        mark = "✗"
        if status is not None:
            status.start()
        try:
            yield step
            mark = "✓"
        finally:
            if status is not None:
                status.stop()
            text = step.done if mark == "✓" else doing
            duration = f"{self._clock() - started:.1f} s"
            dots = "." * max(3, _LINE_WIDTH - 4 - cell_len(text) - len(duration))
            self._console.print(f"{mark} {text} {dots} {duration}", soft_wrap=True)
