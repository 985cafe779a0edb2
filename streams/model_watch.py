"""The thread in which a worker follows the alias of its model, beside the app."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any, Final

from confluent_kafka import KafkaException
from mode import Service

from models.serving.follower import ModelFollower
from streams.announcements import Announcements

log = logging.getLogger(__name__)

#: A worker that stops does not wait for a model that is being loaded.
_JOIN_SECONDS: Final = 2.0


class ModelWatch(Service):
    """Looks when something is announced, and from time to time; a service, so that it ends with the app."""

    mundane_level = "debug"  # that a service starts is no news

    def __init__(self, follower: ModelFollower[Any], announcements: Announcements, **kwargs: Any) -> None:
        self._follower = follower
        self._announcements = announcements
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="model-watch", daemon=True)
        super().__init__(**kwargs)

    async def on_start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    async def on_stop(self) -> None:
        """End the thread, or leave it to end with the process."""
        self._ending.set()
        await asyncio.to_thread(self._thread.join, _JOIN_SECONDS)

    def _follow(self) -> None:
        seconds = self._follower.interval()
        while not self._ending.is_set():
            is_announced = self._is_announced(seconds)
            if not self._ending.is_set():
                seconds = self._follower.look(is_announced=is_announced)
        self._announcements.close()

    def _is_announced(self, seconds: float) -> bool:
        try:
            return self._announcements.heard(seconds, self._ending)
        except KafkaException as error:
            log.warning("announcements are not heard", extra={"reason": str(error.args[0])})
            self._ending.wait(seconds)
            return False
