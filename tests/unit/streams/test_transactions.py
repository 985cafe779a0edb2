"""What is in a transaction when it is committed, with producers that write to a log in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    MessageSizeTooLargeError,
    TransactionalIdAuthorizationFailed,
)

from schemas.errors import SetupError, TransactionLostError
from streams import transactions
from streams.delivery import ProducerOptions
from streams.offsets import Partition
from streams.records import Output
from streams.transactions import ExactlyOnce
from tests.unit.streams.transactional_broker import IN, OUT, REVIEW, Broker

if TYPE_CHECKING:
    from tests.unit.streams.conftest import Workbench

ZERO, ONE = (IN, 0), (IN, 1)


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    broker = Broker()
    monkeypatch.setattr(transactions, "new_producer", broker.new_producer)
    monkeypatch.setattr(transactions, "watch_client", lambda *_: None)  # these producers have no client to fail
    monkeypatch.setattr(transactions, "_CONNECT_AGAIN_SECONDS", 0.0)
    return broker


async def owning(*partitions: Partition) -> ExactlyOnce:
    delivery = ExactlyOnce(
        ProducerOptions(bootstrap="nowhere:1", input_topic=IN, output_topics=(OUT, REVIEW)),
        group_id="sorters",
        transaction_timeout_seconds=60,
    )
    await delivery.start()
    await delivery.assigned(frozenset(partitions))
    return delivery


@pytest.fixture
def outputs(workbench: Workbench) -> Callable[..., list[Output]]:
    def make(*keys: bytes, partition: int = 0, value: bytes = b"out") -> list[Output]:
        return [
            Output(workbench.record(key, b"in", partition=partition), key, value, [], workbench.next_offset)
            for key in keys
        ]

    return make


Outputs = Callable[..., list[Output]]


async def commit(delivery: ExactlyOnce, **offsets: int) -> dict[Partition, int]:
    """Commit `p0=7` and so on."""
    wanted: dict[Partition, int] = {(IN, int(name[1:])): offset for name, offset in offsets.items()}
    return dict(await delivery.commit(frozenset(wanted), wanted.get))


async def test_outputs_of_all_topics_and_the_offset_are_one_transaction_for_each_partition(
    broker: Broker, outputs: Outputs
) -> None:
    delivery = await owning(ZERO, ONE)
    assert sorted(broker.owners) == ["sorters-products.created-0", "sorters-products.created-1"]
    sources = frozenset({ZERO, ONE})
    await delivery.begin(sources)
    await delivery.send(OUT, outputs(b"a", b"b") + outputs(b"c", partition=1))
    await delivery.send(REVIEW, outputs(b"d"))
    await delivery.end(sources)
    assert broker.committed == []
    assert await commit(delivery, p0=3, p1=1) == {ZERO: 3, ONE: 1}
    assert sorted(broker.committed, key=str) == [
        ({(OUT, 0): [b"a", b"b"], (REVIEW, 0): [b"d"]}, {ZERO: 3}),
        ({(OUT, 1): [b"c"]}, {ONE: 1}),
    ]
    await delivery.stop()


async def test_a_commit_waits_for_the_acknowledgement_of_what_is_being_sent(
    broker: Broker, outputs: Outputs
) -> None:
    delivery = await owning(ZERO)
    done: list[str] = []
    await delivery.begin(frozenset({ZERO}))
    await delivery.send(OUT, outputs(b"a"))

    def offset_of(_: Partition) -> int:
        done.append("asked")
        return 1

    committing = asyncio.ensure_future(delivery.commit(frozenset({ZERO}), offset_of))
    await asyncio.sleep(0.01)
    assert done == []
    done.append("acknowledged")
    await delivery.end(frozenset({ZERO}))
    assert await committing == {ZERO: 1}
    assert done == ["acknowledged", "asked"]
    await delivery.stop()


async def test_sending_waits_for_a_commit_and_goes_into_the_next_transaction(
    broker: Broker, outputs: Outputs
) -> None:
    delivery = await owning(ZERO)
    await delivery.begin(frozenset({ZERO}))
    await delivery.send(OUT, outputs(b"a"))
    await delivery.end(frozenset({ZERO}))
    broker.is_slow = True
    committing = asyncio.ensure_future(commit(delivery, p0=1))
    await asyncio.sleep(0.01)
    beginning = asyncio.ensure_future(delivery.begin(frozenset({ZERO})))
    await asyncio.sleep(0.01)
    assert not beginning.done()
    broker.go_on.set()
    await committing
    await beginning
    await delivery.send(OUT, outputs(b"b"))
    await delivery.end(frozenset({ZERO}))
    await commit(delivery, p0=2)
    assert [written for written, _ in broker.committed] == [{(OUT, 0): [b"a"]}, {(OUT, 0): [b"b"]}]
    await delivery.stop()


async def test_an_offset_that_only_moves_over_gaps_is_committed_without_outputs(broker: Broker) -> None:
    delivery = await owning(ZERO)
    assert await commit(delivery, p0=9) == {ZERO: 9}
    assert broker.committed == [({}, {ZERO: 9})]
    await delivery.stop()


async def test_nothing_to_commit_makes_no_transaction(broker: Broker) -> None:
    delivery = await owning(ZERO)
    assert await delivery.commit(frozenset({ZERO, ONE}), lambda _: None) == {}
    assert broker.committed == []
    await delivery.stop()


async def test_what_was_spoiled_is_never_committed_and_aborted_at_the_end(
    broker: Broker, outputs: Outputs
) -> None:
    delivery = await owning(ZERO)
    await delivery.begin(frozenset({ZERO}))
    await delivery.send(OUT, outputs(b"a"))
    delivery.spoil(frozenset({ZERO}))
    assert await commit(delivery, p0=1) == {}
    await delivery.stop()
    assert broker.committed == []
    assert [one.n_aborted for one in broker.producers] == [1]
    assert all(one.is_stopped for one in broker.producers)


async def test_an_assignment_fences_who_wrote_before_and_their_commit_is_a_loss(
    broker: Broker, outputs: Outputs
) -> None:
    zombie = await owning(ZERO)
    await zombie.begin(frozenset({ZERO}))
    await zombie.send(OUT, outputs(b"a"))
    await zombie.end(frozenset({ZERO}))
    heir = await owning(ZERO)
    with pytest.raises(TransactionLostError, match=r"products\.created/0 is lost \(ProducerFenced\)"):
        await commit(zombie, p0=1)
    assert await commit(zombie, p0=1) == {}  # said once
    assert await commit(heir, p0=1) == {ZERO: 1}
    assert broker.visible(OUT) == []
    await zombie.stop()
    await heir.stop()


async def test_a_fenced_worker_cannot_send(broker: Broker, outputs: Outputs) -> None:
    zombie, heir = await owning(ZERO), await owning(ZERO)
    await zombie.begin(frozenset({ZERO}))
    with pytest.raises(TransactionLostError):
        await zombie.send(OUT, outputs(b"a"))
    zombie.spoil(frozenset({ZERO}))
    await zombie.stop()
    await heir.stop()


async def test_what_is_being_sent_when_the_partition_is_assigned_anew_is_lost_quietly(
    broker: Broker, outputs: Outputs
) -> None:
    delivery = await owning(ZERO)
    broker.is_slow = True
    await delivery.begin(frozenset({ZERO}))
    sending = asyncio.ensure_future(delivery.send(OUT, outputs(b"a")))
    await asyncio.sleep(0.01)
    await delivery.assigned(frozenset({ZERO}))
    broker.go_on.set()
    assert list(await sending) == []
    await delivery.end(frozenset({ZERO}))
    assert await commit(delivery, p0=0) == {ZERO: 0}
    assert broker.visible(OUT) == []
    await delivery.stop()


async def test_a_refused_record_is_returned_and_everything_else_since_the_last_commit_is_written_again(
    broker: Broker, outputs: Outputs
) -> None:
    delivery = await owning(ZERO)
    await delivery.begin(frozenset({ZERO}))
    await delivery.send(OUT, outputs(b"before"))
    await delivery.end(frozenset({ZERO}))
    await delivery.begin(frozenset({ZERO}))
    rows = [*outputs(b"k0", b"k1", b"k2", b"k3"), *outputs(b"bad", value=b"huge"), *outputs(b"k5")]
    refusals, _ = await asyncio.gather(
        delivery.send(OUT, rows), delivery.send(REVIEW, outputs(b"r0", b"r1", b"r2", b"r3", b"r4", b"r5"))
    )
    await delivery.end(frozenset({ZERO}))
    assert [(one.output.key, type(one.error)) for one in refusals] == [(b"bad", MessageSizeTooLargeError)]
    await commit(delivery, p0=7)
    assert broker.visible(OUT) == [b"before", b"k0", b"k1", b"k2", b"k3", b"k5"]
    assert broker.visible(REVIEW) == [b"r0", b"r1", b"r2", b"r3", b"r4", b"r5"]
    await delivery.stop()
    assert all(one.is_stopped for one in broker.producers)


async def test_many_refused_records_do_not_cost_a_transaction_each(broker: Broker, outputs: Outputs) -> None:
    delivery = await owning(ZERO)
    await delivery.begin(frozenset({ZERO}))
    refusals = await delivery.send(OUT, outputs(b"a", b"b", b"c", value=b"huge"))
    assert [one.output.key for one in refusals] == [b"a", b"b", b"c"]
    assert len(broker.producers) == 3
    await delivery.end(frozenset({ZERO}))
    await delivery.stop()


async def test_the_key_decides_where_the_topics_have_different_numbers_of_partitions(
    broker: Broker, outputs: Outputs
) -> None:
    broker.partitions[OUT] = 5
    delivery = await owning(ZERO)
    await delivery.begin(frozenset({ZERO}))
    # From the tests of org.apache.kafka.common.utils.Utils.murmur2.
    hashes = {b"21": -973_932_308, b"foobar": -790_332_482, b"abc": 479_470_107}
    await delivery.send(OUT, outputs(*hashes))
    await delivery.end(frozenset({ZERO}))
    await commit(delivery, p0=3)
    assert {key: place[1] for place, keys in broker.committed[0][0].items() for key in keys} == {
        key: (number & 0x7FFFFFFF) % 5 for key, number in hashes.items()
    }
    await delivery.stop()


async def test_a_broker_that_is_away_is_waited_for(broker: Broker) -> None:
    broker.failures = [KafkaConnectionError("away"), KafkaConnectionError("away")]
    delivery = await owning(ZERO)
    assert await commit(delivery, p0=1) == {ZERO: 1}
    await delivery.stop()
    assert all(one.is_stopped for one in broker.producers)


async def test_a_forbidden_transactional_id_is_a_matter_of_set_up(broker: Broker) -> None:
    broker.failures = [TransactionalIdAuthorizationFailed("x")]
    with pytest.raises(SetupError, match="allow Write and Describe on ids that begin with sorters-"):
        await owning(ZERO)


async def test_a_cancelled_begin_holds_nothing(broker: Broker) -> None:
    delivery = await owning(ZERO, ONE)
    await delivery.begin(frozenset({ONE}))
    waiting = asyncio.ensure_future(delivery.begin(frozenset({ZERO, ONE})))
    await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert await commit(delivery, p0=1) == {ZERO: 1}
    await delivery.stop()


async def test_a_topic_whose_limit_was_lowered_loses_the_transaction_and_says_so(
    broker: Broker, outputs: Outputs
) -> None:
    delivery = await owning(ZERO)
    await delivery.begin(frozenset({ZERO}))
    await delivery.send(OUT, outputs(b"a", value=b"large"))
    broker.refused = (b"huge", b"large")
    with pytest.raises(TransactionLostError, match=f"{OUT} refuses what it took a moment ago"):
        await delivery.send(OUT, outputs(b"b", value=b"huge"))
    delivery.spoil(frozenset({ZERO}))
    assert await commit(delivery, p0=2) == {}
    assert broker.committed == []
    await delivery.stop()
