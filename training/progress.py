"""How long work is reported while it runs.

The command line draws it; nothing in `training` knows a terminal.
"""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told of each step as it starts and of how far it has come. Called from one thread only."""

    def step(self, name: str, total: int | None = None) -> None:
        """Start the step `name`; the one before it is done. Its advances add up to `total`, None if unknown."""

    def advance(self, amount: int = 1) -> None:
        """Report that `amount` more of the current step is done."""


class SilentProgress:
    """Reports nothing."""

    def step(self, name: str, total: int | None = None) -> None:
        """Ignore the step."""

    def advance(self, amount: int = 1) -> None:
        """Ignore the advance."""
