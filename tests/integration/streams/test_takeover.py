"""How soon somebody else goes on, and how soon a worker is gone that was told to stop."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, IsolationLevel, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from sortline.settings import SortlineSettings
from streams.worker import EXIT_CLEAN, EXIT_DEADLINE, EXIT_TRANSACTION
from tests.integration.streams.conftest import Topics, WorkerProcess, source, wait_for
from tests.integration.streams.flow import Flow, Returning, check_once, partitions_of

if TYPE_CHECKING:
    from tests.integration.conftest import Broker

pytestmark = pytest.mark.integration

NewWorker = Callable[..., WorkerProcess]

#: What a takeover after kill -9 may take until the group notices, with the settings that nobody changed.
NOTICED_WITHIN_SECONDS = 10.0
#: The last heartbeat may be just before the kill; and the test has to ask the broker.
ASKED_WITHIN_SECONDS = 1.0
#: And from then on, until the heir's first output is there to be read: its next heartbeat, joining, fencing, work.
REBALANCED_WITHIN_SECONDS = 5.0
#: For a worker that has nothing to do.
STOPPED_WITHIN_SECONDS = 3.0


def _n_members(admin: Any, group_id: str) -> int:
    """Return how many members a group has; the admin client's types have no futures."""
    return len(admin.describe_consumer_groups([group_id])[group_id].result(30).members)


def _has_records(worker: WorkerProcess, n: int = 1) -> bool:
    return worker.metric("sortline_records_total") >= n


@pytest.fixture
def live_outputs(stream: Topics) -> Iterator[Callable[[], list[Message]]]:
    """Reads what is committed to the categorized and the review topic, as it comes."""
    consumer = Consumer(
        {"bootstrap.servers": stream.bootstrap, "group.id": "none", "isolation.level": "read_committed"}
    )
    topics = (stream.names.categorized, stream.names.review)
    consumer.assign([TopicPartition(topic, partition, 0) for topic in topics for partition in range(3)])
    yield lambda: [one for one in consumer.consume(1_000, 0.01) if not one.error()]
    consumer.close()


def test_after_kill_9_the_group_notices_within_ten_seconds_by_default_and_somebody_else_goes_on(
    stream: Topics,
    new_worker: NewWorker,
    live_outputs: Callable[[], list[Message]],
) -> None:
    session = SortlineSettings.model_fields["session_timeout_seconds"].default
    # Exactly-once takes longer than at-least-once: the victim has to be fenced, and what is seen was committed.
    new = partial(new_worker, delivery="exactly-once", session_timeout_seconds=session)
    victim, heir = (new().start() for _ in range(2))
    wait_for("both to have partitions", lambda: partitions_of(victim) and partitions_of(heir))
    wait_for("both to be ready", lambda: victim.is_ready() and heir.is_ready())
    theirs = partitions_of(victim)
    stream.produce_products(300)
    wait_for("both to work", lambda: _has_records(victim) and _has_records(heir))
    check_once(stream, 300)
    live_outputs()
    admin = AdminClient({"bootstrap.servers": stream.bootstrap})

    killed_at = time.monotonic()
    victim.kill()
    stream.produce_products(300)
    wait_for("the group to notice", lambda: _n_members(admin, heir.settings.group_id) == 1)
    noticed = time.monotonic() - killed_at

    # The victim had done all that was there: whatever comes of its partitions now is the heir's.
    def is_taken_over() -> bool:
        return any(int(source(one).split("/")[1]) in theirs for one in live_outputs())

    wait_for("an output of the victim's partitions", is_taken_over)
    taken_over = time.monotonic() - killed_at
    told = f"noticed after {noticed:.2f} s, first output after {taken_over:.2f} s"
    assert noticed <= NOTICED_WITHIN_SECONDS + ASKED_WITHIN_SECONDS, told
    assert taken_over <= NOTICED_WITHIN_SECONDS + REBALANCED_WITHIN_SECONDS, told
    check_once(stream, 600)
    assert heir.stop() == 0
    assert stream.committed(heir.settings.group_id) == 600


@pytest.mark.parametrize("delivery", ["at-least-once", "exactly-once"])
def test_an_idle_worker_stops_within_three_seconds(stream: Topics, new_worker: NewWorker, delivery: str) -> None:
    worker = new_worker(delivery=delivery, session_timeout_seconds=30.0).start()
    stream.produce_products(30)
    wait_for("all to be committed", lambda: stream.committed(worker.settings.group_id) == 30)
    started = time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - started <= STOPPED_WITHIN_SECONDS


def test_sigterm_while_the_broker_is_away_ends_within_the_deadline_and_loses_and_repeats_nothing(
    stream: Topics, new_worker: NewWorker, broker: Broker
) -> None:
    new = partial(new_worker, delivery="exactly-once", slice_rows=20)
    worker = new(commit_interval_seconds=60.0, shutdown_seconds=3.0).start()
    stream.produce_products(2_000)
    wait_for("an open transaction", partial(_has_records, worker, 100))
    broker.kill()
    started = time.monotonic()
    worker.signal(signal.SIGTERM)
    assert worker.exit_code() in {EXIT_CLEAN, EXIT_DEADLINE}, worker.log()
    assert time.monotonic() - started <= worker.settings.shutdown_seconds + 2.0  # and the process's own end
    broker.start()
    heir = new().start()
    check_once(stream, 2_000)
    assert heir.stop() == 0
    assert stream.committed(heir.settings.group_id) == 2_000


def test_a_transaction_that_kafka_gave_up_costs_a_restart_and_loses_and_doubles_nothing(
    stream: Topics, new_worker: NewWorker
) -> None:
    new = partial(new_worker, delivery="exactly-once", slice_rows=50, session_timeout_seconds=60.0)
    cut_off = Returning(new(commit_interval_seconds=0.5), transaction_seconds=1.0)
    worker = cut_off.join()
    admin = AdminClient({"bootstrap.servers": stream.bootstrap})
    with Flow(stream, rate=500) as flow:
        wait_for("some work", partial(_has_records, worker, 500))
        worker.signal(signal.SIGSTOP)  # for the broker the same as a cut cable, for longer than transactions last
    wait_for("a transaction to be left open", lambda: _is_open(stream, admin), 5)
    wait_for("Kafka to give it up", lambda: not _is_open(stream, admin))
    worker.signal(signal.SIGCONT)
    assert cut_off.exit_code() == EXIT_TRANSACTION
    assert "transaction lost" in worker.log()
    assert cut_off.join() is worker
    check_once(stream, flow.n_events)
    assert cut_off.leave() == 0
    assert stream.committed(worker.settings.group_id) == flow.n_events


def _is_open(stream: Topics, admin: Any) -> bool:
    """Whether a reader of the outputs who reads committed records is held up by an open transaction."""
    topics = (stream.names.categorized, stream.names.review, stream.names.dead_letters)
    asked = {TopicPartition(topic, number): OffsetSpec.latest() for topic in topics for number in range(3)}
    committed, written = (
        [
            (place, answer.result(30).offset)
            for place, answer in admin.list_offsets(asked, isolation_level=one).items()
        ]
        for one in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED)
    )
    return committed != written


def test_an_outage_longer_than_transactions_may_be_open_loses_and_doubles_nothing(
    stream: Topics, new_worker: NewWorker, broker: Broker
) -> None:
    new = partial(new_worker, delivery="exactly-once", slice_rows=20, session_timeout_seconds=30.0)
    cut_off = Returning(new(commit_interval_seconds=0.5), transaction_seconds=2.0)
    worker = cut_off.join()
    stream.produce_products(5_000)
    wait_for("some work", partial(_has_records, worker, 500))
    broker.kill()
    mended_at = time.monotonic() + 4.0
    wait_for("the outage to be long enough", lambda: time.monotonic() > mended_at)
    broker.start()
    # Whether the worker or Kafka is first to end the transaction is up to chance, and must not matter.
    wait_for("the rest or the end", lambda: _has_records(worker, 5_000) or cut_off.has_ended())
    if cut_off.has_ended():
        assert cut_off.exit_code() == EXIT_TRANSACTION
        cut_off.join()
    check_once(stream, 5_000)
    assert cut_off.leave() == 0
    assert stream.committed(worker.settings.group_id) == 5_000
