"""Concurrent single products are decided on together.

Whatever arrives while a batch is decided on is the next one. Callers that were answered together ask again one
after the other: until as many wait as were in the batch before, the next one is put off, for a moment at most. Who
comes alone, and came alone before, does not wait. A light batch is decided on in the event loop itself: to hand it
to a thread takes longer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Final, Generic, TypeVar

#: The event loop's clock may make two of it.
_MOMENT_SECONDS: Final = 0.001

Item = TypeVar("Item")
Result = TypeVar("Result")


class MicroBatches(Generic[Item, Result]):
    """Collects items of concurrent callers. For one event loop.

    Args:
        decide: returns a result for each item, in order; called in the executor, one batch at a time. An exception
            is one of all items of the batch: what concerns one item only has to be its result.
        executor: where it is called.
        is_light: tells whether it takes so little that it is called in the event loop instead.
        most: items of one batch.
        moment_seconds: how long to wait for as many as came together before.
    """

    def __init__(
        self,
        decide: Callable[[Sequence[Item]], Sequence[Result]],
        executor: Executor,
        *,
        is_light: Callable[[Sequence[Item]], bool] = lambda _: False,
        most: int = 64,
        moment_seconds: float = _MOMENT_SECONDS,
    ) -> None:
        self._decide = decide
        self._executor = executor
        self._is_light = is_light
        self._most = most
        self._moment_seconds = moment_seconds
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._is_working = False
        self._company = 1
        self._timer: asyncio.TimerHandle | None = None

    async def submit(self, item: Item) -> Result:
        """Return the item's result. Whoever is cancelled meanwhile disturbs nobody else."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((item, future))
        if not self._is_working:
            self._is_working = True
            # Not now but after what the loop has in hand: what arrived together is decided on together.
            loop.call_soon(self._collect, loop)
        elif self._timer is not None and len(self._waiting) >= self._company:
            self._timer.cancel()
            self._timer = None
            loop.call_soon(self._begin, loop)
        return await future

    def _collect(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin, or put it off until `submit` has as many or the moment is over."""
        if 0 < len(self._waiting) < self._company:
            self._timer = loop.call_later(self._moment_seconds, self._begin, loop)
        else:
            self._begin(loop)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        while self._waiting and len(batch) < self._most:
            item, future = self._waiting.popleft()
            if not future.done():  # nobody waits for it any more
                batch.append((item, future))
        if not batch:
            self._is_working = False
            return
        self._company = len(batch)
        items = [item for item, _ in batch]
        if self._is_light(items):
            work: asyncio.Future[Sequence[Result]] = loop.create_future()
            try:
                work.set_result(self._decide(items))
            except Exception as error:  # noqa: BLE001  # it is that of the items
                work.set_exception(error)
        else:
            work = loop.run_in_executor(self._executor, self._decide, items)
        work.add_done_callback(lambda done: self._finish(loop, batch, done))

    def _finish(
        self,
        loop: asyncio.AbstractEventLoop,
        batch: list[tuple[Item, asyncio.Future[Result]]],
        work: asyncio.Future[Sequence[Result]],
    ) -> None:
        loop.call_soon(self._collect, loop)
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
