"""Concurrent single products are decided on together.

The rule has no wait in it: an idle model thread begins at once with what is there, and whatever arrives while it
works is the next batch. So batches grow with the load, and a lone request is never kept waiting for company.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class MicroBatches(Generic[Item, Result]):
    """Collects items of concurrent callers. For one event loop.

    Args:
        decide: returns a result for each item, in order; called in the executor, one batch at a time. An exception
            is one of all items of the batch: what concerns one item only has to be its result.
        executor: where it is called.
        most: items of one batch.
    """

    def __init__(
        self, decide: Callable[[Sequence[Item]], Sequence[Result]], executor: Executor, *, most: int = 64
    ) -> None:
        self._decide = decide
        self._executor = executor
        self._most = most
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._is_working = False

    async def submit(self, item: Item) -> Result:
        """Return the item's result. Whoever is cancelled meanwhile disturbs nobody else."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((item, future))
        if not self._is_working:
            self._is_working = True
            # Not now but after what the loop has in hand: requests that arrived together are decided together.
            loop.call_soon(self._begin, loop)
        return await future

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        while self._waiting and len(batch) < self._most:
            item, future = self._waiting.popleft()
            if not future.done():  # nobody waits for it any more
                batch.append((item, future))
        if not batch:
            self._is_working = False
            return
        work = loop.run_in_executor(self._executor, self._decide, [item for item, _ in batch])
        work.add_done_callback(lambda done: self._finish(loop, batch, done))

    def _finish(
        self,
        loop: asyncio.AbstractEventLoop,
        batch: list[tuple[Item, asyncio.Future[Result]]],
        work: asyncio.Future[Sequence[Result]],
    ) -> None:
        self._begin(loop)  # first, so that the thread works while the answers are written
        error = asyncio.CancelledError() if work.cancelled() else work.exception()
        for position, (_, future) in enumerate(batch):
            if future.done():
                continue
            if error is None:
                future.set_result(work.result()[position])
            elif work.cancelled():
                future.cancel()
            else:
                future.set_exception(error)
