"""Exactly once on a real Kafka: faults in the middle of transactions, as a read_committed reader sees them."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from compose.sockets import free_ports
from models.serving.served import ModelStamp
from schemas.avro_files import load_schema
from schemas.encoding import Encoder
from streams.app import build_app
from streams.dead_letters import DeadLetterOffice
from streams.metrics import RECORDS, Counters
from streams.records import Output, Record
from streams.settings import WorkerSettings
from streams.slices import SliceOutputs
from tests.integration.streams.conftest import PATIENCE_SECONDS, Topics, WorkerProcess, source, wait_for

if TYPE_CHECKING:
    import faust

pytestmark = pytest.mark.integration

NewWorker = Callable[..., WorkerProcess]


@pytest.fixture
def new_once(new_worker: NewWorker) -> NewWorker:
    """Makes workers that deliver exactly once, in small slices, so that faults meet them in the middle."""
    return partial(new_worker, delivery="exactly-once", slice_rows=200, slices_in_flight=4)


async def eventually(what: str, is_so: Callable[[], bool]) -> None:
    end = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while not is_so():
        assert asyncio.get_running_loop().time() < end, f"waited in vain for: {what}"
        await asyncio.sleep(0.02)


def _has_done(worker: WorkerProcess, n_records: int) -> bool:
    return worker.metric("sortline_records_total") >= n_records


def _check_once(stream: Topics, n: int) -> list[Message]:
    """Read all outputs; each of n inputs must have led to exactly one."""
    messages = stream.outputs(n)
    times = Counter(map(source, messages))
    assert len(times) == n
    assert [name for name, count in times.items() if count > 1] == []
    return messages


def _count_written(stream: Topics) -> int:
    """Return how many outputs are in the logs, those of aborted transactions among them."""
    consumer = Consumer(
        {"bootstrap.servers": stream.bootstrap, "group.id": "none", "isolation.level": "read_uncommitted"}
    )
    names = stream.names
    ends: dict[tuple[str, int], int] = {}
    for topic in (names.categorized, names.review, names.dead_letters):
        for partition in consumer.list_topics(topic, timeout=30).topics[topic].partitions:
            ends[topic, partition] = consumer.get_watermark_offsets(TopicPartition(topic, partition))[1]
    consumer.assign([TopicPartition(topic, partition, 0) for topic, partition in ends])
    n_written = 0
    while any(place.offset < ends[str(place.topic), place.partition] for place in _positions(consumer, ends)):
        n_written += sum(not one.error() for one in consumer.consume(5_000, 0.2))
    consumer.close()
    return n_written


def _positions(consumer: Consumer, ends: dict[tuple[str, int], int]) -> list[TopicPartition]:
    filled = [TopicPartition(*place) for place, end in ends.items() if end]
    return consumer.position(filled)


def test_what_a_killed_worker_wrote_without_committing_is_seen_by_nobody_who_reads_committed(
    stream: Topics, new_once: NewWorker
) -> None:
    rows: list[tuple[bytes | None, bytes | None]] = list(stream.values(4_000))
    for at in range(0, 4_000, 50):
        rows[at] = (rows[at][0], b"broken") if at % 100 else (rows[at][0], None)
    stream.produce(rows)
    first = new_once(commit_interval_seconds=60.0, session_timeout_seconds=6.0).start()
    wait_for("outputs to be written", partial(_has_done, first, 2_000))
    first.kill()
    assert stream.committed(first.settings.group_id) == 0
    second = new_once().start()
    messages = _check_once(stream, 4_000)
    by_topic = Counter(str(one.topic()) for one in messages)
    assert by_topic[stream.names.dead_letters] == 40
    assert by_topic[stream.names.review] > 0
    assert sum(one.value() is None for one in messages) == 40
    assert second.stop() == 0
    assert stream.committed(second.settings.group_id) == 4_000
    assert _count_written(stream) >= 4_000 + 2_000


def test_a_zombie_is_fenced_ends_with_its_own_code_and_repeats_nothing(
    stream: Topics, new_once: NewWorker
) -> None:
    stream.produce_products(6_000)
    zombie = new_once(commit_interval_seconds=60.0).start()
    wait_for("an open transaction", partial(_has_done, zombie, 1_000))
    zombie.signal(signal.SIGSTOP)
    heir = new_once().start()
    wait_for("the heir to have everything", partial(_has_done, heir, 6_000))
    stream.produce_products(200)
    zombie.signal(signal.SIGCONT)
    assert zombie.exit_code() == 5
    assert zombie.log().count("is lost (ProducerFenced)") == zombie.log().count("transaction lost") == 1
    _check_once(stream, 6_200)
    assert heir.stop() == 0
    assert stream.committed(heir.settings.group_id) == 6_200


@dataclass
class Passing:
    """Passes records on, slowly: `r…` to review, `d…` as dead letters, `h…` in a size that no topic takes."""

    seconds: float = 0.0
    dead_letter_office: DeadLetterOffice = field(default_factory=lambda: DeadLetterOffice(group_id="g"))
    model: ModelStamp = field(default_factory=lambda: ModelStamp("passing", "1"))

    def process(self, records: Sequence[Record]) -> SliceOutputs:
        time.sleep(self.seconds)
        categorized: list[Output] = []
        review: list[Output] = []
        dead_letters: list[Output] = []
        dead_positions: list[int] = []
        for position, record in enumerate(records):
            kind = (record.value or b"")[:1]
            if kind == b"d":
                dead_letters.append(self.dead_letter_office.write(record, stage="TEST", reason="bad"))
                dead_positions.append(position)
                continue
            value = record.value if kind != b"h" else os.urandom(2 << 20)
            place = f"{record.topic}/{record.partition}/{record.offset}".encode()
            output = Output(record, record.key, value, [("ce_id", place)], record.timestamp)
            (review if kind == b"r" else categorized).append(output)
        return SliceOutputs(
            categorized=categorized,
            review=review,
            dead_letters=dead_letters,
            dead_positions=dead_positions,
            n_tombstones=0,
            n_backed_off=0,
            model=self.model,
        )


@dataclass
class InProcess:
    """A worker's app in this process."""

    app: faust.App
    counters: Counters

    async def has_done(self, n_records: int) -> None:
        await eventually(f"{n_records} records", lambda: self.counters.value(RECORDS) >= n_records)


NewApp = Callable[..., InProcess]


@pytest.fixture
async def new_app(stream: Topics) -> AsyncIterator[NewApp]:
    """Makes apps of one group that deliver exactly once; they are stopped at the end."""
    group_id = f"g-{uuid.uuid4().hex[:10]}"
    made: list[InProcess] = []
    swaps = load_schema("model_swap")
    swap_encoder = Encoder(swaps, stream.registry.register(f"{stream.names.swaps}-value", swaps))

    def make(seconds: float = 0.0, **settings: Any) -> InProcess:
        (port,) = free_ports(1)
        defaults = {"slice_rows": 20, "slices_in_flight": 4, "commit_interval_seconds": 0.2}
        chosen = WorkerSettings(
            model="none",
            bootstrap=stream.bootstrap,
            topics=stream.names,
            group_id=group_id,
            web_port=port,
            delivery="exactly-once",
            **{**defaults, **settings},
        )
        counters = Counters()
        made.append(
            InProcess(build_app(chosen, Passing(seconds), swap_encoder=swap_encoder, counters=counters), counters)
        )
        return made[-1]

    yield make
    for one in made:
        await one.app.stop()


def _rows(n: int, kinds: bytes = b"cccrcccdcc") -> list[tuple[bytes | None, bytes | None]]:
    return [(b"k%d" % at, bytes([kinds[at % len(kinds)]]) + b"-%d" % at) for at in range(n)]


async def test_joining_and_leaving_in_the_middle_of_slow_batches_loses_and_repeats_nothing(
    stream: Topics, new_app: NewApp
) -> None:
    stream.produce(_rows(2_500))
    host = new_app(seconds=0.05)
    await host.app.start()
    await host.has_done(100)
    for _ in range(3):
        guest = new_app(seconds=0.05)
        await guest.app.start()
        stream.produce(_rows(100))
        await guest.has_done(1)
        await guest.app.stop()
    messages = await asyncio.to_thread(_check_once, stream, 2_800)
    assert {str(one.topic()) for one in messages} == {
        stream.names.categorized,
        stream.names.review,
        stream.names.dead_letters,
    }
    await host.app.stop()
    assert stream.committed(host.app.conf.id) == 2_800


async def test_a_rebalance_commits_the_open_transaction_before_the_partitions_go(
    stream: Topics, new_app: NewApp
) -> None:
    host = new_app(commit_interval_seconds=60.0)
    await host.app.start()
    stream.produce(_rows(300))
    await host.has_done(300)
    assert stream.committed(host.app.conf.id) == 0
    guest = new_app()
    await guest.app.start()
    await eventually("the commit", lambda: stream.committed(host.app.conf.id) == 300)
    await asyncio.to_thread(_check_once, stream, 300)
    assert await asyncio.to_thread(_count_written, stream) == 300  # nothing was aborted and done again


async def test_an_output_too_large_for_its_topic_is_a_dead_letter_in_the_same_transaction(
    stream: Topics, new_app: NewApp
) -> None:
    worker = new_app(commit_interval_seconds=1.0)
    stream.produce(_rows(60, kinds=b"ccccrhcdcc"))
    await worker.app.start()
    messages = await asyncio.to_thread(_check_once, stream, 60)
    assert Counter(str(one.topic()) for one in messages) == {
        stream.names.categorized: 42,
        stream.names.review: 6,
        stream.names.dead_letters: 12,
    }
    await worker.app.stop()
    assert stream.committed(worker.app.conf.id) == 60


async def test_markers_and_aborted_records_of_the_input_are_committed_over(
    stream: Topics, new_app: NewApp
) -> None:
    producer = stream.producer(**{"transactional.id": stream.names.created})
    producer.init_transactions(30)
    for number in range(6):
        producer.begin_transaction()
        for key, value in _rows(20):
            producer.produce(stream.names.created, key=key, value=value)
        producer.flush(30)  # so that what is aborted is in the log
        (producer.abort_transaction if number % 2 else producer.commit_transaction)(30)
    end = await asyncio.to_thread(_end, stream)
    worker = new_app()
    await worker.app.start()
    await asyncio.to_thread(_check_once, stream, 60)
    assert end > 120
    await eventually("lag 0", lambda: stream.committed(worker.app.conf.id) == end)


def _end(stream: Topics) -> int:
    consumer = Consumer({"bootstrap.servers": stream.bootstrap, "group.id": "none"})
    topic = stream.names.created
    partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    ends = [consumer.get_watermark_offsets(TopicPartition(topic, one))[1] for one in partitions]
    consumer.close()
    return sum(ends)
