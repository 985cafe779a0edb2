"""Batches of concurrent callers: each has its own result, however they were batched."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.micro_batches import MicroBatches


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


@dataclass
class Decider:
    """Says what it was asked, once its gate is open."""

    gate: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)
    batches: list[list[int]] = field(default_factory=list)
    broken: Exception | None = None

    def __call__(self, items: Sequence[int]) -> list[str]:
        self.batches.append(list(items))
        self.begun.set()
        assert self.gate.wait(30)
        if self.broken is not None:
            raise self.broken
        return [f"item {item}" for item in items]

    async def has_begun(self) -> None:
        await asyncio.to_thread(self.begun.wait, 30)


async def test_an_idle_thread_begins_at_once_with_one_item(executor: ThreadPoolExecutor) -> None:
    decider = Decider()
    decider.gate.set()
    together = MicroBatches(decider, executor)
    assert await together.submit(1) == "item 1"
    assert await together.submit(2) == "item 2"
    assert decider.batches == [[1], [2]]


async def test_what_arrives_together_is_one_batch(executor: ThreadPoolExecutor) -> None:
    decider = Decider()
    decider.gate.set()
    together = MicroBatches(decider, executor)
    assert await asyncio.gather(*map(together.submit, range(5))) == [f"item {n}" for n in range(5)]
    assert decider.batches == [[0, 1, 2, 3, 4]]


async def test_what_arrives_while_the_thread_works_is_the_next_batch_up_to_the_limit(
    executor: ThreadPoolExecutor,
) -> None:
    decider = Decider()
    together = MicroBatches(decider, executor, most=4)
    first = asyncio.ensure_future(together.submit(0))
    await decider.has_begun()
    others = [asyncio.ensure_future(together.submit(number)) for number in range(1, 7)]
    await asyncio.sleep(0)
    decider.gate.set()
    assert await asyncio.gather(first, *others) == [f"item {n}" for n in range(7)]
    assert decider.batches == [[0], [1, 2, 3, 4], [5, 6]]


async def test_a_request_that_is_cancelled_while_it_waits_is_not_decided_on(executor: ThreadPoolExecutor) -> None:
    decider = Decider()
    together = MicroBatches(decider, executor)
    first = asyncio.ensure_future(together.submit(0))
    await decider.has_begun()
    gone, stays = (asyncio.ensure_future(together.submit(number)) for number in (1, 2))
    await asyncio.sleep(0)
    gone.cancel()
    decider.gate.set()
    assert (await first, await stays) == ("item 0", "item 2")
    assert gone.cancelled()
    assert decider.batches == [[0], [2]]


async def test_a_request_that_is_cancelled_while_it_is_decided_on_disturbs_nobody(
    executor: ThreadPoolExecutor,
) -> None:
    decider = Decider()
    together = MicroBatches(decider, executor)
    gone, stays = (asyncio.ensure_future(together.submit(number)) for number in (1, 2))
    await decider.has_begun()
    gone.cancel()
    decider.gate.set()
    assert await stays == "item 2"
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert await together.submit(3) == "item 3"


async def test_after_a_batch_that_broke_the_next_one_is_decided_on(executor: ThreadPoolExecutor) -> None:
    decider = Decider(broken=ZeroDivisionError("of all items"))
    decider.gate.set()
    together = MicroBatches(decider, executor)
    found = await asyncio.gather(together.submit(1), together.submit(2), return_exceptions=True)
    assert [type(one) for one in found] == [ZeroDivisionError, ZeroDivisionError]
    decider.broken = None
    assert await together.submit(3) == "item 3"


@given(
    steps=st.lists(st.sampled_from(["submit", "submit", "turn", "cancel", "finish"]), max_size=40),
    most=st.integers(1, 5),
)
@settings(max_examples=100, deadline=None)
def test_a_result_does_not_depend_on_how_requests_were_batched(steps: list[str], most: int) -> None:
    asyncio.run(_play(steps, most))


async def _play(steps: list[str], most: int) -> None:
    """Submit, cancel and finish in any order; every request that was not cancelled has its own result."""
    seats = threading.Semaphore(0)
    batches: list[int] = []

    def decide(items: Sequence[int]) -> list[str]:
        assert seats.acquire(timeout=30)
        batches.append(len(items))
        return [f"item {item}" for item in items]

    requests: list[asyncio.Future[str]] = []
    with ThreadPoolExecutor(1) as executor:
        together = MicroBatches(decide, executor, most=most)
        for step in steps:
            if step == "submit":
                requests.append(asyncio.ensure_future(together.submit(len(requests))))
            elif step == "cancel" and requests:
                requests[len(requests) // 2].cancel()
            elif step == "finish":
                seats.release()
            else:
                await asyncio.sleep(0)
        seats.release(len(steps) + 1)
        found = await asyncio.gather(*requests, return_exceptions=True)
    for number, (request, result) in enumerate(zip(requests, found, strict=True)):
        assert result == f"item {number}" or request.cancelled()
    assert max(batches, default=0) <= most


async def test_a_light_batch_is_decided_on_in_the_event_loop_and_a_heavy_one_in_the_thread(
    executor: ThreadPoolExecutor,
) -> None:
    threads: list[int] = []

    def decide(items: Sequence[int]) -> list[int]:
        threads.append(threading.get_ident())
        return [item + 1 for item in items]

    together = MicroBatches(decide, executor, is_light=lambda items: sum(items) < 10)
    assert list(await asyncio.gather(together.submit(1), together.submit(2))) == [2, 3]
    assert await together.submit(100) == 101
    assert await together.submit(3) == 4
    here = threading.get_ident()
    assert [thread == here for thread in threads] == [True, False, True]


async def test_a_light_batch_that_broke_disturbs_nobody_else(executor: ThreadPoolExecutor) -> None:
    def decide(items: Sequence[int]) -> list[float]:
        return [1 / item for item in items]

    together = MicroBatches(decide, executor, is_light=lambda _: True)
    found = await asyncio.gather(together.submit(0), together.submit(2), return_exceptions=True)
    assert [type(one) for one in found] == [ZeroDivisionError, ZeroDivisionError]
    assert await together.submit(2) == 0.5


async def test_as_many_as_came_together_are_waited_for(executor: ThreadPoolExecutor) -> None:
    decider = Decider()
    decider.gate.set()
    together = MicroBatches(decider, executor, is_light=lambda _: True, moment_seconds=60.0)
    await asyncio.gather(*map(together.submit, range(3)))
    again = [asyncio.ensure_future(together.submit(number)) for number in (3, 4)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert decider.batches == [[0, 1, 2]]
    assert await together.submit(5) == "item 5"
    assert await asyncio.gather(*again) == ["item 3", "item 4"]
    assert decider.batches == [[0, 1, 2], [3, 4, 5]]


async def test_when_they_do_not_come_again_the_moment_passes_once(executor: ThreadPoolExecutor) -> None:
    decider = Decider()
    decider.gate.set()
    together = MicroBatches(decider, executor, is_light=lambda _: True)
    await asyncio.gather(*map(together.submit, range(3)))
    assert await together.submit(3) == "item 3"

    together._moment_seconds = 60.0  # from now on nobody may wait for company
    assert await together.submit(4) == "item 4"
    assert decider.batches == [[0, 1, 2], [3], [4]]
