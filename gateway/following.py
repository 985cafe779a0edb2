"""The thread in which a gateway looks what the alias of its model means."""

from __future__ import annotations

import threading
from typing import Final, Protocol

#: A gateway that stops does not wait for a model that is being loaded.
_JOIN_SECONDS: Final = 2.0


class Follower(Protocol):
    """`models.serving.follower.ModelFollower` is one."""

    def interval(self) -> float:
        """Return after how many seconds to look first."""

    def look(self) -> float:
        """Look, and return after how many seconds to look again. Raises nothing."""


class Following:
    """Looks from time to time, between `start` and `stop`."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="model-following", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, or leave it to end with the process."""
        self._ending.set()
        self._thread.join(_JOIN_SECONDS)

    def _follow(self) -> None:
        seconds = self._follower.interval()
        while not self._ending.wait(seconds):
            seconds = self._follower.look()
