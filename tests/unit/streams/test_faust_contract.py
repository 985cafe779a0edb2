"""What `streams` needs of Faust, mode and aiokafka beyond their documented interfaces.

An upgrade that changes one of these must fail here, and not in production. When it does: read the new source,
adapt `streams.transport`, `streams.delivery` or `streams.transactions`, run the integration tests with faults, and
then move the pins.
"""

from __future__ import annotations

import inspect
from importlib.metadata import version
from typing import Any

import aiokafka
import faust
import mode
import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer.consumer import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher as AioFetcher
from aiokafka.consumer.subscription_state import Assignment, Subscription, SubscriptionState, TopicPartitionState
from aiokafka.producer.message_accumulator import BatchBuilder, MessageBatch
from aiokafka.producer.sender import (
    AddOffsetsToTxnHandler,
    AddPartitionsToTxnHandler,
    EndTxnHandler,
    TxnOffsetCommitHandler,
)
from aiokafka.producer.sender import Sender as AioSender
from aiokafka.producer.transaction_manager import TransactionManager
from aiokafka.structs import ConsumerRecord, TopicPartition
from faust.app.base import App, BootStrategy
from faust.tables.manager import TableManager
from faust.transport import conductor, consumer
from faust.transport.consumer import Consumer, Fetcher, ThreadDelegateConsumer
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage, Message
from mode.threads import QueueServiceThread, ServiceThread
from mode.utils.imports import FactoryMapping

from streams import batch_writing, transport
from streams.columnar_fetch import ColumnarRecords, ColumnarResult


def test_the_versions_are_those_the_transport_was_written_against() -> None:
    assert version("faust-streaming") == "0.15.3"
    assert version("aiokafka").startswith("0.14.")


#: Methods that are overridden or called, and their parameters.
METHODS: list[tuple[Any, str, list[str]]] = [
    # overridden in streams.loop_consumer.LoopConsumer
    (driver.AIOKafkaConsumerThread, "_create_worker_consumer", ["self", "transport"]),
    (driver.AIOKafkaConsumerThread, "seek_to_committed", ["self"]),
    # called by it
    (AIOKafkaConsumer, "stop", ["self"]),
    (driver.AIOKafkaConsumerThread, "_ensure_consumer", ["self"]),
    (
        driver.AIOKafkaConsumerThread,
        "_fetch_records",
        ["self", "consumer", "active_partitions", "timeout", "max_records"],
    ),
    (ServiceThread, "start", ["self"]),
    (ServiceThread, "stop", ["self"]),
    (ServiceThread, "_stop_children", ["self"]),
    (ServiceThread, "_stop_futures", ["self"]),
    (ServiceThread, "_stop_exit_stacks", ["self"]),
    (QueueServiceThread, "call_thread", ["self", "fun", "args", "kwargs"]),
    (mode.Service, "stop", ["self"]),
    (mode.Service, "on_stop", ["self"]),
    (mode.Service, "_default_start", ["self"]),
    # wrapped by streams.fetch_gate.FetchGate
    (AioFetcher, "_get_actions_per_node", ["self", "assignment"]),
    (AioFetcher, "_notify", ["self", "future"]),
    (AIOKafkaConsumer, "assignment", ["self"]),
    (AIOKafkaConsumer, "committed", ["self", "partition"]),
    (AIOKafkaConsumer, "seek", ["self", "partition", "offset"]),
    (AIOKafkaConsumer, "seek_to_beginning", ["self", "partitions"]),
    (AIOKafkaConsumer, "seek_to_end", ["self", "partitions"]),
    (Assignment, "state_value", ["self", "tp"]),
    # overridden in streams.transport.Consumer
    (driver.Consumer, "_new_consumer_thread", ["self"]),
    (Consumer, "ack", ["self", "message"]),
    (Consumer, "_filter_tps_with_pending_acks", ["self", "topics"]),
    (Consumer, "_new_offset", ["self", "tp"]),
    (Consumer, "_commit_tps", ["self", "tps", "start_new_transaction"]),
    (Consumer, "commit_and_end_transactions", ["self"]),
    (Consumer, "verify_all_partitions_active", ["self"]),
    (Consumer, "stop_flow", ["self"]),
    (ThreadDelegateConsumer, "close", ["self"]),
    (Consumer, "on_partitions_revoked", ["self", "revoked"]),
    (Consumer, "perform_seek", ["self"]),
    (Consumer, "on_buffer_drop", ["self", "tp"]),
    (Consumer, "_drain_messages", ["self", "fetcher"]),
    # called by it, or relied on to call it
    (Consumer, "_get_active_partitions", ["self"]),
    (Consumer, "_add_gap", ["self", "tp", "offset_from", "offset_to"]),
    (Consumer, "_should_commit", ["self", "tp", "offset"]),
    (Consumer, "_filter_committable_offsets", ["self", "tps"]),
    (Consumer, "wait_empty", ["self"]),
    (Consumer, "maybe_wait_for_commit_to_finish", ["self"]),
    (mode.Service, "crash", ["self", "reason"]),
    (driver.Consumer, "_to_message", ["self", "tp", "record"]),
    (ThreadDelegateConsumer, "assignment", ["self"]),
    (ThreadDelegateConsumer, "highwater", ["self", "tp"]),
    (mode.Service, "wait_first", ["self", "coros", "timeout"]),
    (conductor.Conductor, "acks_enabled_for", ["self", "topic"]),
    # the schema
    (faust.Schema, "loads_key", ["self", "app", "message", "loads", "serializer"]),
    (faust.Schema, "loads_value", ["self", "app", "message", "loads", "serializer"]),
    # messages
    (Message, "ack", ["self", "consumer", "n"]),
    (ConsumerMessage, "on_final_ack", ["self", "consumer"]),
    # the app
    (App, "add_dependency", ["self", "service"]),
    (App, "page", ["self", "path", "base", "cors_options", "name"]),
    # the delivery
    (aiokafka.AIOKafkaProducer, "create_batch", ["self"]),
    (aiokafka.AIOKafkaProducer, "send_batch", ["self", "batch", "topic", "partition"]),
    (aiokafka.AIOKafkaProducer, "partitions_for", ["self", "topic"]),
    (aiokafka.AIOKafkaProducer, "begin_transaction", ["self"]),
    (aiokafka.AIOKafkaProducer, "send_offsets_to_transaction", ["self", "offsets", "group_id"]),
    (aiokafka.AIOKafkaProducer, "commit_transaction", ["self"]),
    (aiokafka.AIOKafkaProducer, "abort_transaction", ["self"]),
    (BatchBuilder, "append", ["self", "timestamp", "key", "value", "headers"]),
    (BatchBuilder, "close", ["self"]),
]


@pytest.mark.parametrize(
    ("owner", "name", "parameters"), METHODS, ids=[f"{owner.__name__}.{name}" for owner, name, _ in METHODS]
)
def test_a_method_has_the_parameters_we_rely_on(owner: Any, name: str, parameters: list[str]) -> None:
    method = inspect.unwrap(getattr(owner, name))
    assert list(inspect.signature(method).parameters) == parameters


#: Attributes that are read or written, and a text in the source of their owner that shows them in use.
ATTRIBUTES: list[tuple[Any, str]] = [
    (AIOKafkaConsumer.__init__, "self._fetch_max_wait_ms = fetch_max_wait_ms"),
    (AIOKafkaConsumer.__init__, "self._isolation_level = isolation_level"),
    (AIOKafkaConsumer.__init__, "self._max_poll_records = max_poll_records"),
    (AIOKafkaConsumer.__init__, "self._subscription = SubscriptionState("),
    (AIOKafkaConsumer.__init__, "self._client = AIOKafkaClient("),
    (AIOKafkaConsumer.start, "fetch_max_wait_ms=self._fetch_max_wait_ms"),
    (AIOKafkaConsumer.start, "isolation_level=self._isolation_level"),
    (AIOKafkaConsumer.start, "self._fetcher = Fetcher("),
    (AioFetcher.__init__, "self._records = "),
    # requests for records come first in a plan, and a plan is made anew when this future has a result
    (AioFetcher._get_actions_per_node, "return ( fetch_requests, awaiting_reset,"),
    (AioFetcher._fetch_requests_routine, "other_futs = [self._wait_consume_future, assignment.unassign_future]"),
    # without its thread, a service starts and stops as others do
    (ServiceThread.__init__, "self.thread_loop = thread_loop or asyncio.new_event_loop()"),
    (ServiceThread.start, "self._thread_started.set()"),
    # the names of the fetcher's module that streams.columnar_fetch replaces, and what it relies on in them
    (AioFetcher._proc_fetch_request, "records = MemoryRecords(part_data[-1]) if records.has_next():"),
    (AioFetcher._proc_fetch_request, "elif records.size_in_bytes() > 0:"),
    (AioFetcher._proc_fetch_request, "partition_records = PartitionRecords( tp, records, aborted_transactions,"),
    (AioFetcher._proc_fetch_request, "self._records[tp] = FetchResult( tp, partition_records=partition_records,"),
    (
        AioFetcher.fetched_records,
        "if type(res_or_error) is FetchResult: records = res_or_error.getall(max_records)",
    ),
    (AioFetcher.fetched_records, "if not res_or_error.has_more():"),
    (ColumnarRecords.__bases__[0].__init__, "self.next_fetch_offset = fetch_offset"),
    (ColumnarRecords.__bases__[0]._consume_aborted_up_to, "self._aborted_producers.add(producer_id)"),
    (ColumnarResult.__bases__[0]._update_position, "state.consumed_to(self._partition_records.next_fetch_offset)"),
    # what the sender asks of a batch: streams.batch_writing.FilledBatch answers the same
    (
        MessageBatch.set_producer_state,
        "self._builder._set_producer_state(producer_id, producer_epoch, base_sequence)",
    ),
    (MessageBatch.get_data_buffer, "return self._builder._build()"),
    (MessageBatch.is_empty, "return self._builder.record_count() == 0"),
    (MessageBatch.remaining_linger, "self._builder.closed()"),
    # the task whose end would go unnoticed, and that closing the client cancels it
    (AIOKafkaClient.bootstrap, "self._sync_task = create_task(self._md_synchronizer())"),
    (AIOKafkaClient.close, "self._sync_task.cancel()"),
    (aiokafka.AIOKafkaProducer.__init__, "self.client = AIOKafkaClient("),
    (driver.AIOKafkaConsumerThread.on_start, "self._consumer = self._create_consumer("),
    (Consumer.__init__, "self._acked = defaultdict(list)"),
    (Consumer.__init__, "self._read_offset = defaultdict("),
    (Consumer.__init__, "self._committed_offset = defaultdict("),
    (Consumer.__init__, "self._unacked_messages = WeakSet()"),
    (Consumer.__init__, "self._buffered_partitions = set()"),
    (Consumer.__init__, "self._waiting_for_ack = None"),
    (Consumer.__init__, "self.can_resume_flow = Event()"),
    (Consumer.__init__, "self.suspend_flow = Event()"),
    (Consumer.stop_flow, "self.flow_active = False"),
    (Consumer._wait_for_ack, "self._waiting_for_ack = asyncio.Future("),
    (Consumer.wait_empty, "self._unacked_messages"),
    (Consumer._commit_tps, "self._filter_committable_offsets(tps)"),
    (Consumer.wait_empty, "self.commit_and_end_transactions"),
    (Consumer.on_stop, "self.wait_empty"),
    (Consumer.force_commit, "self._commit_tps("),
    # a producer is started when it has its id and epoch: by then its predecessors are fenced
    (AioSender.start, "await self._maybe_wait_for_pid()"),
    # a fenced producer says so in whatever is asked of it, and in a word that we know
    (AddPartitionsToTxnHandler.handle_response, "error_type is InvalidProducerEpoch: raise ProducerFenced()"),
    (AddOffsetsToTxnHandler.handle_response, "error_type is InvalidProducerEpoch: raise ProducerFenced()"),
    (TxnOffsetCommitHandler.handle_response, "error_type is InvalidProducerEpoch: raise ProducerFenced()"),
    (EndTxnHandler.handle_response, "error_type is InvalidProducerEpoch: raise ProducerFenced()"),
    (AioSender._fail_all, "self._txn_manager.fatal_error(task_exception)"),
    (TransactionManager._transition_to, "assert TransactionState.is_transition_valid("),
    (Consumer.force_commit, "self._filter_tps_with_pending_acks(topics)"),
    (Consumer._filter_committable_offsets, "self._new_offset(tp)"),
    # the unacked set is of messages that the stream handed to the agent, no matter who acknowledges
    (faust.Stream._py_aiter, "add_unacked(message)"),
    # a slice of an older generation is dropped by the stream, too
    (faust.Stream._py_aiter, "message.generation_id != self.app.consumer_generation_id"),
    (Fetcher._fetcher.fun, "consumer._drain_messages(self)"),
    (driver.ConsumerRebalanceListener.on_partitions_assigned, "app.consumer_generation_id = generation"),
    # what we do instead of it in on_stop, where there is no method queue: stop the consumer
    (
        driver.AIOKafkaConsumerThread.on_thread_stop,
        "await super().on_thread_stop() # when method queue is stopped, we can stop the consumer "
        "if self._consumer is not None: await self._consumer.stop()",
    ),
    # what streams.lean_start.NoTables does without the wait
    (
        TableManager.on_start,
        "await self.sleep(1.0) if not self.should_stop: await self._update_channels() await self.recovery.start()",
    ),
    # the only caller of Consumer.close
    (App._on_rebalance_when_stopped, "self.consumer.close()"),
    (App.on_rebalance_start, "self.rebalancing = True"),
    (App._on_partitions_revoked, "consumer.stop_flow"),
    (App._on_partitions_revoked, "self._consumer_wait_empty"),
    (BootStrategy._should_enable_kafka_producer, "self.enable_kafka_producer"),
]


@pytest.mark.parametrize(("owner", "text"), ATTRIBUTES, ids=[text for _, text in ATTRIBUTES])
def test_an_attribute_is_used_as_we_rely_on(owner: Any, text: str) -> None:
    source = inspect.getsource(owner)
    assert " ".join(text.split()) in " ".join(source.split())


async def test_a_partitions_state_tells_position_end_and_time() -> None:
    state = TopicPartitionState(assignment=None)
    assert (state.has_valid_position, state.highwater, state.lso, state.timestamp) == (False, None, None, None)
    state.seek(7)
    assert (state.has_valid_position, state.position) == (True, 7)
    assert isinstance(Subscription.assignment, property)
    assert isinstance(Assignment.active, property)
    assert isinstance(inspect.getattr_static(SubscriptionState, "subscription"), property)


def test_partitions_of_both_libraries_and_plain_tuples_are_one_and_the_same_key() -> None:
    assert TP("a", 1) == TopicPartition("a", 1) == ("a", 1)
    assert len({TP("a", 1), TopicPartition("a", 1), ("a", 1)}) == 1


def test_a_consumer_record_has_what_a_record_needs() -> None:
    fields = set(ConsumerRecord.__dataclass_fields__)
    assert {"topic", "partition", "offset", "timestamp", "timestamp_type", "key", "value", "headers"} <= fields


def test_the_consumer_of_the_loop_replaces_a_thread() -> None:
    assert issubclass(driver.AIOKafkaConsumerThread, QueueServiceThread)
    assert issubclass(driver.Consumer, ThreadDelegateConsumer)
    assert consumer.ConsumerThread in driver.AIOKafkaConsumerThread.__mro__


def test_the_scheme_is_known_after_registration_without_the_package_being_installed() -> None:
    aliases = FactoryMapping(kafka="faust.transport.drivers.aiokafka:Transport").aliases
    assert isinstance(aliases, dict)
    transport.register_scheme()
    assert TRANSPORTS.by_url("kafkabatch://127.0.0.1:9092") is transport.Transport


def test_a_filled_batch_has_the_methods_of_a_builder_that_the_sender_calls() -> None:
    called = ("_set_producer_state", "_build", "record_count", "size", "closed", "append", "close")
    for name in called:
        assert callable(getattr(BatchBuilder, name))
        assert callable(getattr(batch_writing.FilledBatch, name))
