from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from confluent_kafka import Producer

from gateway.deliveries import Deliveries, Place, Undelivered
from schemas.product_records import OutgoingRecord
from tests.unit.gateway.fake_producer import FakeProducer


class Rig:
    """Deliveries through fakes: a new one each time that a producer is opened."""

    def __init__(self, *, room: int, wait_seconds: float) -> None:
        self.producers: list[FakeProducer] = []
        self._room = room
        self.deliveries = Deliveries(self._open, wait_seconds=wait_seconds)

    def _open(self) -> Producer:
        self.producers.append(FakeProducer(room=self._room))
        return self.producers[-1].as_real

    async def deliver(self, *keys: bytes) -> list[Place | Undelivered]:
        return await self.deliveries.deliver("topic", [OutgoingRecord(key, b"value", []) for key in keys])


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    found = Rig(room=1_000, wait_seconds=60.0)
    yield found
    for producer in found.producers:
        producer.release()
    await found.deliveries.close()


async def test_each_record_s_place_is_told_in_the_order_given(rig: Rig) -> None:
    assert await rig.deliver(b"a", b"b", b"c") == [Place("topic", 0, offset) for offset in range(3)]


async def test_a_lost_record_and_one_too_large_are_told_among_those_that_arrived(rig: Rig) -> None:
    first, lost, large, last = await rig.deliver(b"a", b"lost", b"large", b"b")
    assert (first, last) == (Place("topic", 0, 0), Place("topic", 0, 1))
    assert isinstance(lost, Undelivered)
    assert "timed out" in lost.reason
    assert lost.fate == "unknown"
    assert isinstance(large, Undelivered)
    assert large.fate == "too-large"


async def test_nothing_is_told_before_the_last_record_of_a_call_is_confirmed(rig: Rig) -> None:
    waiting = asyncio.ensure_future(rig.deliver(b"a", b"held"))
    assert await rig.deliver(b"b") == [Place("topic", 0, 0)]  # others are not kept waiting
    assert not waiting.done()
    rig.producers[0].release()
    assert await waiting == [Place("topic", 0, 1), Place("topic", 0, 2)]


async def test_a_full_queue_is_waited_for() -> None:
    small = Rig(room=2, wait_seconds=60.0)
    outcomes = await small.deliver(*[b"a"] * 20)
    assert outcomes == [Place("topic", 0, offset) for offset in range(20)]
    await small.deliveries.close()


async def test_a_queue_that_stays_full_is_told_for_what_did_not_fit() -> None:
    full = Rig(room=1, wait_seconds=0.0)
    waiting = asyncio.ensure_future(full.deliver(b"held", b"a", b"b"))
    while not full.producers:
        await asyncio.sleep(0)
    full.producers[0].release()
    assert await waiting == [
        Place("topic", 0, 0),
        *[Undelivered("too many products wait for Kafka", "unsent")] * 2,
    ]
    await full.deliveries.close()


async def test_a_producer_that_broke_for_good_is_replaced(rig: Rig) -> None:
    (broken,) = await rig.deliver(b"broken")
    assert isinstance(broken, Undelivered)
    assert broken.fate == "unsent"
    assert await rig.deliver(b"a") == [Place("topic", 0, 0)]
    assert len(rig.producers) == 2


async def test_who_is_cancelled_leaves_the_record_on_its_way_and_closing_waits_for_it(rig: Rig) -> None:
    waiting = asyncio.ensure_future(rig.deliver(b"held"))
    await rig.deliver(b"a")
    waiting.cancel()
    asyncio.get_running_loop().call_later(0.05, rig.producers[0].release)
    await rig.deliveries.close()
    assert len(rig.producers[0]) == 0


async def test_one_thread_polls(rig: Rig) -> None:
    await asyncio.gather(*(rig.deliver(b"a") for _ in range(50)))
    assert rig.producers[0].thread_names == {"kafka-deliveries"}


async def test_nothing_to_deliver_needs_no_producer(rig: Rig) -> None:
    assert await rig.deliver() == []
    assert not rig.producers
