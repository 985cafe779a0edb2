"""A Kafka client that silently stops to work is noticed, one that was closed is not."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streams.client_watch import watch_client

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from schemas.errors import DependencyUnavailableError


@dataclass
class Client:
    _sync_task: asyncio.Task[None]


async def _watched(work: Coroutine[None, None, None], *, is_closed: bool) -> list[DependencyUnavailableError]:
    told: list[DependencyUnavailableError] = []
    task = asyncio.ensure_future(work)
    watch_client(Client(task), "the producer", told.append)
    await asyncio.sleep(0)
    if is_closed:
        task.cancel()
    with contextlib.suppress(RuntimeError, asyncio.CancelledError):
        await task
    await asyncio.sleep(0)  # the callbacks of the task
    return told


async def _fail() -> None:
    raise RuntimeError("the transport is closed")


async def test_a_metadata_task_that_fails_is_told_with_its_reason() -> None:
    (error,) = await _watched(_fail(), is_closed=False)
    assert "the producer" in str(error)
    assert "the transport is closed" in str(error)
    assert isinstance(error.__cause__, RuntimeError)


async def test_a_metadata_task_that_returns_is_told_too() -> None:
    assert len(await _watched(asyncio.sleep(0), is_closed=False)) == 1


async def test_closing_the_client_is_no_news() -> None:
    assert await _watched(asyncio.sleep(60), is_closed=True) == []
