"""Which partition an output goes to, in which order, and what happens when the broker refuses one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, OutOfOrderSequenceNumber

from streams.delivery import AtLeastOnce, ProducerOptions
from streams.records import Output

if TYPE_CHECKING:
    from tests.unit.streams.conftest import Workbench

IN, OUT = "products.created", "products.categorized"


@dataclass
class Batch:
    """Takes three records."""

    rows: list[tuple[bytes | None, bytes | None]] = field(default_factory=list)
    is_closed: bool = False

    def append(self, *, timestamp: int, key: bytes | None, value: bytes | None, headers: object) -> object | None:
        if len(self.rows) == 3:
            return None
        self.rows.append((key, value))
        return self

    def close(self) -> None:
        self.is_closed = True


@dataclass
class Brokers:
    """What brokers got, by topic and partition, in order; a batch with a record called `huge` is refused."""

    partitions: dict[str, int]
    batches: list[tuple[str, int, list[bytes | None]]] = field(default_factory=list)
    producers: list[FakeProducer] = field(default_factory=list)


@dataclass(eq=False)
class FakeProducer:
    """Behaves like an idempotent aiokafka producer: after a refused batch it is of no use for the partition."""

    brokers: Brokers
    broken: set[tuple[str, int]] = field(default_factory=set)
    known: set[str] = field(default_factory=set)
    is_stopped: bool = False

    async def start(self) -> None: ...

    async def stop(self) -> None:
        self.is_stopped = True

    async def partitions_for(self, topic: str) -> set[int]:
        assert not self.is_stopped
        if topic not in self.known:
            await asyncio.sleep(0)  # the broker is asked
            self.known.add(topic)
        return set(range(self.brokers.partitions[topic]))

    def create_batch(self) -> Batch:
        return Batch()

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> asyncio.Future[None]:
        assert batch.is_closed
        assert topic in self.known, "aiokafka would wait here, for ever if the producer is stopped meanwhile"
        assert not self.is_stopped
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if (topic, partition) in self.broken:
            answer.set_exception(OutOfOrderSequenceNumber())
        elif any(value == b"huge" for _, value in batch.rows):
            self.broken.add((topic, partition))
            answer.set_exception(MessageSizeTooLargeError())
        else:
            self.brokers.batches.append((topic, partition, [key for key, _ in batch.rows]))
            answer.set_result(None)
        return answer


class Delivery(AtLeastOnce):
    """With producers that write to a log in memory."""

    def __init__(self, brokers: Brokers) -> None:
        self.brokers = brokers
        super().__init__(ProducerOptions(bootstrap="nowhere:1", input_topic=IN, output_topics=(OUT,)))

    async def _new_producer(self) -> Any:
        producer = FakeProducer(self.brokers)
        self.brokers.producers.append(producer)
        return producer


async def started(partitions: dict[str, int]) -> Delivery:
    delivery = Delivery(Brokers(partitions))
    await delivery.start()
    return delivery


Row = tuple[bytes | None, bytes | None]


def outputs(workbench: Workbench, rows: Sequence[Row], partition: int) -> list[Output]:
    return [
        Output(workbench.record(key, b"in", partition=partition), key, value, [], workbench.next_offset)
        for key, value in rows
    ]


def plain(*keys: bytes) -> list[Row]:
    return [(key, b"out") for key in keys]


async def test_an_output_keeps_its_inputs_partition_where_both_topics_have_equally_many(
    workbench: Workbench,
) -> None:
    delivery = await started({IN: 4, OUT: 4})
    rows = outputs(workbench, plain(b"a", b"b"), partition=3) + outputs(workbench, plain(b"c"), partition=1)
    assert await delivery.send(OUT, rows) == []
    assert sorted(delivery.brokers.batches) == [(OUT, 1, [b"c"]), (OUT, 3, [b"a", b"b"])]
    await delivery.stop()


async def test_otherwise_the_key_decides_by_the_hash_of_javas_clients(workbench: Workbench) -> None:
    delivery = await started({IN: 4, OUT: 5})
    # From the tests of org.apache.kafka.common.utils.Utils.murmur2.
    hashes = {b"21": -973_932_308, b"foobar": -790_332_482, b"abc": 479_470_107}
    await delivery.send(OUT, outputs(workbench, plain(*hashes), partition=3))
    assert {key: partition for _, partition, keys in delivery.brokers.batches for key in keys} == {
        key: (number & 0x7FFFFFFF) % 5 for key, number in hashes.items()
    }
    await delivery.stop()


async def test_an_output_without_key_goes_by_its_inputs_partition(workbench: Workbench) -> None:
    delivery = await started({IN: 4, OUT: 2})
    await delivery.send(OUT, outputs(workbench, [(None, b"x")], partition=3))
    assert delivery.brokers.batches == [(OUT, 1, [None])]
    await delivery.stop()


async def test_a_long_run_is_sent_batch_after_batch_in_order(workbench: Workbench) -> None:
    delivery = await started({IN: 1, OUT: 1})
    keys = [f"k{number}".encode() for number in range(8)]
    await delivery.send(OUT, outputs(workbench, plain(*keys), partition=0))
    assert [batch for _, _, batch in delivery.brokers.batches] == [keys[:3], keys[3:6], keys[6:]]
    await delivery.stop()


async def test_a_refused_record_is_returned_and_all_others_are_written_in_order(workbench: Workbench) -> None:
    delivery = await started({IN: 1, OUT: 1})
    rows: list[Row] = [(f"k{number}".encode(), b"out") for number in range(8)]
    rows[4] = (b"k4", b"huge")
    refusals = await delivery.send(OUT, outputs(workbench, rows, partition=0))
    assert [(one.output.key, type(one.error)) for one in refusals] == [(b"k4", MessageSizeTooLargeError)]
    written = [key for _, _, batch in delivery.brokers.batches for key in batch]
    assert written == [b"k0", b"k1", b"k2", b"k3", b"k5", b"k6", b"k7"]
    await delivery.stop()


async def test_after_a_refusal_the_producer_is_replaced_and_the_old_one_stopped(workbench: Workbench) -> None:
    delivery = await started({IN: 1, OUT: 1})
    await delivery.send(OUT, outputs(workbench, [(b"a", b"huge")], partition=0))
    await delivery.send(OUT, outputs(workbench, plain(b"b"), partition=0))
    assert delivery.brokers.batches == [(OUT, 0, [b"b"])]
    await delivery.stop()
    assert len(delivery.brokers.producers) == 2
    assert all(producer.is_stopped for producer in delivery.brokers.producers)


async def test_a_refusal_in_one_partition_does_not_disturb_another(workbench: Workbench) -> None:
    delivery = await started({IN: 2, OUT: 2})
    rows = outputs(workbench, [(b"a", b"huge"), (b"b", b"out")], partition=0)
    rows += outputs(workbench, plain(b"c", b"d"), partition=1)
    refusals = await delivery.send(OUT, rows)
    assert [one.output.key for one in refusals] == [b"a"]
    assert sorted(delivery.brokers.batches) == [(OUT, 0, [b"b"]), (OUT, 1, [b"c", b"d"])]
    await delivery.stop()


async def test_a_broken_producer_is_not_a_refusal(workbench: Workbench) -> None:
    delivery = await started({IN: 1, OUT: 1})
    delivery.brokers.producers[0].broken.add((OUT, 0))
    with pytest.raises(KafkaError):
        await delivery.send(OUT, outputs(workbench, plain(b"a"), partition=0))
    await delivery.stop()


async def test_nothing_to_send_asks_nothing(workbench: Workbench) -> None:
    delivery = await started({IN: 1, OUT: 1})
    assert await delivery.send(OUT, []) == ()
    await delivery.stop()


async def test_sending_before_the_start_is_a_bug(workbench: Workbench) -> None:
    with pytest.raises(RuntimeError, match="not started"):
        await Delivery(Brokers({})).send(OUT, outputs(workbench, plain(b"a"), partition=0))
