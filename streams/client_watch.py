"""Notices that a Kafka client has silently stopped to work.

aiokafka looks for the leaders of partitions in a task of its own. If an error that it does not expect ends that
task, nobody is told: whoever sends or fetches next waits for ever, while the worker's heartbeats go on and it
keeps its partitions. A worker in that state must end, for its supervisor to start it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from schemas.errors import DependencyUnavailableError


def watch_client(client: Any, name: str, on_end: Callable[[DependencyUnavailableError], object]) -> None:
    """Call `on_end`, in the client's event loop, when its metadata task ends although nobody closed the client.

    Args:
        client: an AIOKafkaClient (which has no types), started.
        name: of its owner, for the error.
        on_end: gets the error that says so.
    """

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled():  # closing the client cancels it
            reason = task.exception()
            error = DependencyUnavailableError(
                f"the Kafka client of {name} does not follow the cluster any more ({reason!r}): start again"
            )
            error.__cause__ = reason
            client._sync_task = None  # closing the client awaits it, and would fail for the same reason
            on_end(error)

    client._sync_task.add_done_callback(ended)
