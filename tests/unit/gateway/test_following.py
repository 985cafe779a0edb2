"""The thread that looks what an alias means."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass, field

from gateway.following import Following


@dataclass
class Follower:
    """Wants to look again at once, and tells each look."""

    looks: queue.Queue[None] = field(default_factory=queue.Queue)

    def interval(self) -> float:
        return 0.0

    def look(self) -> float:
        self.looks.put(None)
        return 0.001


def test_it_looks_again_and_again_until_it_is_stopped() -> None:
    follower = Follower()
    following = Following(follower)
    following.start()
    for _ in range(3):
        follower.looks.get(timeout=30)
    following.stop()
    assert "model-following" not in {thread.name for thread in threading.enumerate()}
