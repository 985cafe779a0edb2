"""The transport under a small Faust app of its own, in this process."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import faust
import pytest
from mode import CrashingSupervisor

from streams.loop_consumer import TransportOptions
from streams.transport import SCHEME, Consumer, SliceSchema, Transport, register_scheme
from tests.integration.streams.conftest import PATIENCE_SECONDS, Topics

pytestmark = pytest.mark.integration


async def eventually(what: str, is_so: Callable[[], bool]) -> None:
    end = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while not is_so():
        assert asyncio.get_running_loop().time() < end, f"waited in vain for: {what}"
        await asyncio.sleep(0.02)


@pytest.fixture
async def app(stream: Topics, tmp_path: Any) -> AsyncIterator[faust.App]:
    register_scheme()
    app = faust.App(
        f"t-{uuid.uuid4().hex[:8]}",
        broker=f"{SCHEME}://{stream.bootstrap}",
        broker_commit_interval=0.1,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        key_serializer="raw",
        value_serializer="raw",
        web_enabled=False,
        datadir=tmp_path,
    )
    cast(Transport, app.transport).options = TransportOptions(slice_rows=10, slices_in_flight=4)
    yield app
    await app.stop()


async def test_sliced_and_plain_topics_live_in_one_app(stream: Topics, app: faust.App) -> None:
    slices: list[list[int]] = []
    plain: list[bytes] = []

    @app.agent(
        app.topic(stream.names.created, schema=SliceSchema()),
        name="sliced",
        supervisor_strategy=CrashingSupervisor,
    )
    async def _sliced(events: Any) -> None:
        async for event in events.noack().events():
            assert {(one.topic, one.partition) for one in event.value} == {event.message.tp}
            slices.append([one.offset for one in event.value])
            event.ack()

    @app.agent(app.topic(stream.names.review, value_serializer="raw"), name="plain")
    async def _plain(values: Any) -> None:
        async for value in values:
            plain.append(value)  # noqa: PERF401  # each is to be seen as it comes

    stream.produce([(b"k", b"v%d" % number) for number in range(55)])
    producer = stream.producer()
    for number in range(20):
        producer.produce(stream.names.review, key=b"k", value=b"p%d" % number)
    producer.flush()
    await app.start()
    await eventually("all records", lambda: sum(map(len, slices)) == 55 and len(plain) == 20)
    assert [one for part in slices for one in part] == list(range(55))  # one key, so one partition
    assert max(map(len, slices)) <= 10
    assert plain == [b"p%d" % number for number in range(20)]
    await eventually("the commit", lambda: stream.committed(app.conf.id) == 55)


async def test_an_unacknowledged_slice_holds_back_the_commit_and_bounds_what_is_handed_out(
    stream: Topics, app: faust.App
) -> None:
    held: list[Any] = []

    @app.agent(
        app.topic(stream.names.created, schema=SliceSchema()),
        name="sliced",
        supervisor_strategy=CrashingSupervisor,
    )
    async def _sliced(events: Any) -> None:
        async for event in events.noack().events():
            held.append(event)  # noqa: PERF401  # as above

    stream.produce([(b"k", b"v%d" % number) for number in range(100)])
    await app.start()
    consumer = cast(Consumer, app.consumer)
    await eventually("four slices in flight", lambda: len(held) == 4)
    for event in held[1:4]:
        event.ack()
    await eventually("more slices", lambda: len(held) == 7)
    await consumer.commit()
    assert consumer.ledger.in_flight == 4
    assert stream.committed(app.conf.id) == 0
    held[0].ack()
    await consumer.commit()
    assert stream.committed(app.conf.id) == 40
    for event in held:
        event.ack()
    await eventually("the rest", lambda: len(held) == 10)
    for event in held:
        event.ack()


async def test_on_assignment_is_awaited_before_anything_is_fetched(stream: Topics, app: faust.App) -> None:
    story: list[str] = []

    async def on_assignment(partitions: frozenset[Any]) -> None:
        await asyncio.sleep(0.2)
        story.append(f"assigned {len(partitions)}")

    cast(Transport, app.transport).options = TransportOptions(on_assignment=on_assignment)

    @app.agent(
        app.topic(stream.names.created, schema=SliceSchema()),
        name="sliced",
        supervisor_strategy=CrashingSupervisor,
    )
    async def _sliced(events: Any) -> None:
        async for event in events.noack().events():
            story.append("slice")
            event.ack()

    stream.produce([(b"k", b"v")])
    await app.start()
    await eventually("a slice", lambda: "slice" in story)
    assert story == ["assigned 3", "slice"]


async def test_a_crash_of_the_agent_ends_the_app_with_the_slice_uncommitted(
    stream: Topics, app: faust.App
) -> None:
    @app.agent(
        app.topic(stream.names.created, schema=SliceSchema()),
        name="sliced",
        supervisor_strategy=CrashingSupervisor,
    )
    async def _sliced(events: Any) -> None:
        async for event in events.noack().events():
            if event.value[0].offset >= 20:
                raise RuntimeError("bug")
            event.ack()

    stream.produce([(b"k", b"v%d" % number) for number in range(100)])
    await app.start()
    await asyncio.wait_for(app.wait_until_stopped(), PATIENCE_SECONDS)
    assert isinstance(app.crash_reason, RuntimeError)
    await app.stop()
    assert stream.committed(app.conf.id) <= 20
