"""The thread that follows an alias: it looks when it is told, and ends with the app."""

from __future__ import annotations

import asyncio
import queue
import threading
from dataclasses import dataclass, field
from typing import Any, cast

from confluent_kafka import KafkaError, KafkaException

from models.serving.follower import ModelFollower
from streams.announcements import Announcements
from streams.model_watch import ModelWatch


@dataclass
class Script:
    """Announcements and follower in one: what is heard comes from a queue, and looks are written down."""

    said: queue.Queue[bool | Exception] = field(default_factory=queue.Queue)
    looks: queue.Queue[bool] = field(default_factory=queue.Queue)
    waits: list[float] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)

    def heard(self, seconds: float, ending: threading.Event) -> bool:
        self.waits.append(seconds)
        said = self.said.get(timeout=30)
        if isinstance(said, Exception):
            raise said
        return said

    def interval(self) -> float:
        return 30.0

    def look(self, *, is_announced: bool = False) -> float:
        self.looks.put(is_announced)
        return 0.001

    def close(self) -> None:
        self.closed.set()


async def test_it_looks_at_the_interval_and_when_something_is_announced_and_disconnects_at_the_end() -> None:
    script = Script()
    watch = ModelWatch(cast(ModelFollower[Any], script), cast(Announcements, script))
    await watch.start()
    broken = KafkaException(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    for said in (False, True, False, True):
        script.said.put(said)
        assert await asyncio.to_thread(script.looks.get, timeout=30) is said
    script.said.put(False)
    await asyncio.to_thread(script.looks.get, timeout=30)
    script.said.put(broken)  # goes on without announcements
    assert await asyncio.to_thread(script.looks.get, timeout=30) is False
    script.said.put(True)
    await watch.stop()
    assert await asyncio.to_thread(script.closed.wait, 30)
    assert script.waits[:2] == [30.0, 0.001]
