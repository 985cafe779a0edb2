"""Faust transport `kafkabatch://`: one Faust event for each fetched slice of a partition.

A topic whose schema is a `SliceSchema` is handed to its agent in slices: lists of aiokafka `ConsumerRecord`s of
one partition, in offset order. Every other topic keeps Faust's way of one event a record. Group membership,
rebalancing, tables, sensors and the web server are Faust's own.

What an agent has to keep: iterate `stream.noack().events()`, and `event.ack()` once every output of the slice was
delivered. Then these rules hold, and each is needed for "nothing is lost":

- What is committed is the acknowledged prefix of the slices handed out (`streams.offsets`). Faust's own arithmetic
  assumes dense offsets: it stalls on gaps, and it skips a head that nobody acknowledged.
- On revocation Faust waits for the slices the agent holds, commits, and only then is their state dropped.
- On assignment everything in flight is forgotten under the lock that the fetch loop holds while it fetches and
  hands out. Then every partition is put back on its committed offset, also where that is 0 or there is none:
  aiokafka's own `seek_to_committed` leaves those alone, and records that were fetched and dropped while the group
  rebalanced would be skipped for good. Records fetched under another generation are dropped.
- At most `slices_in_flight` slices are handed out and unacknowledged, so buffers stay small and the queue of the
  agent is never full.

The attributes of Faust, mode and aiokafka that this module touches are listed and checked in
`tests/unit/streams/test_faust_contract.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias, cast

import aiokafka
import faust
from faust.exceptions import ConsumerNotStarted
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage, Message, ack_lock
from mode.threads import QueueServiceThread
from mode.utils.futures import notify

from schemas.errors import TransactionLostError
from streams.offsets import OffsetLedger, Partition
from streams.records import Record

CommitSlices: TypeAlias = Callable[
    [frozenset[Partition], Callable[[Partition], int | None]], Awaitable[Mapping[Partition, int]]
]

SCHEME: Final = "kafkabatch"

#: How long to try to leave the group in good order when stopping.
_LEAVE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportOptions:
    """What Faust's settings cannot say. Set `Transport.options` before the app starts.

    Attributes:
        slice_rows: most records in one slice.
        slices_in_flight: most slices handed out and not acknowledged.
        fetch_wait_seconds: how long the broker may hold a fetch that finds no data. New data ends the wait.
        poll_seconds: how long the fetch loop waits for the consumer thread. New data ends the wait.
        reads_committed: whether records of open and aborted transactions stay hidden.
        on_assignment: awaited with all assigned partitions before their committed offsets are read. A
            transactional delivery fences the partitions' previous owners here.
        commit: awaited instead of Kafka's plain commit for partitions that come in slices, with them and a
            function that returns the offset to commit, or None if there is nothing to do; to be asked when the
            partition's outputs are complete. Returns what was committed. Raises TransactionLostError if it cannot
            commit: that ends the app.
    """

    slice_rows: int = 2_000
    slices_in_flight: int = 16
    fetch_wait_seconds: float = 0.1
    poll_seconds: float = 0.05
    reads_committed: bool = True
    on_assignment: Callable[[frozenset[TP]], Awaitable[None]] | None = None
    commit: CommitSlices | None = None


class SliceSchema(faust.Schema[Any, Any]):
    """Marks a topic whose events are slices; the event's value is the list of records, untouched."""

    def loads_key(self, app: Any, message: Message, *, loads: Any = None, serializer: Any = None) -> None:
        """Return None: a slice has no key of its own."""

    def loads_value(self, app: Any, message: Message, *, loads: Any = None, serializer: Any = None) -> Any:
        """Return the records as they were fetched."""
        return message.value


@dataclass(frozen=True, slots=True)
class _Fetched:
    """Records by partition, and where reading goes on in the partitions that have nothing left to hand over."""

    records: Mapping[TP, Sequence[Record]]
    positions: Mapping[TP, int]


class _Item(NamedTuple):
    """What the fetch loop does next in a partition: hand out a message, or note that reading merely went on."""

    tp: TP
    message: ConsumerMessage | None
    resume: int


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that owns aiokafka's consumer.

    The methods that begin with an underscore run in it, the others in the event loop of the app.
    """

    transport: Transport
    mundane_level = "debug"  # that a service starts is no news

    def _create_worker_consumer(self, transport: driver.Transport) -> aiokafka.AIOKafkaConsumer:
        # Faust fixes these two in the call of the constructor; the consumer reads them when it starts.
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = int(self.transport.options.fetch_wait_seconds * 1000)
        if self.transport.options.reads_committed:
            consumer._isolation_level = "read_committed"
        return consumer

    async def on_thread_stop(self) -> None:
        """Leave the group and disconnect, but do not wait for a rebalance that others hold up.

        aiokafka first finishes the rebalance that it is in, and that may wait for another member for minutes. What
        was acknowledged is committed by now; who cannot say good-bye is missed after the session timeout.
        """
        await QueueServiceThread.on_thread_stop(self)
        if self._consumer is None:
            return
        try:
            await asyncio.wait_for(self._consumer.stop(), _LEAVE_SECONDS)
        except TimeoutError:
            self.log.warning("group not left in time")
            await self._consumer._client.close()

    async def fetch(self, partitions: set[TP], timeout: float) -> _Fetched:
        """Wait for data in one of the partitions and return what there is; nothing after `timeout` seconds."""
        fetched: _Fetched = await self.call_thread(self._fetch, self._ensure_consumer(), partitions, timeout)
        return fetched

    async def _fetch(self, consumer: aiokafka.AIOKafkaConsumer, partitions: set[TP], timeout: float) -> _Fetched:
        records = await self._fetch_records(
            consumer, partitions, timeout=timeout, max_records=consumer._max_poll_records
        )
        # Nothing is awaited from here on, so the positions are exactly those after these records. A partition with
        # more fetched data is left out: its position may belong to an error that is still to be raised.
        positions: dict[TP, int] = {}
        if self.consumer.flow_active:
            for tp in partitions:
                state = self._state(tp)
                if state is not None and state.has_valid_position and tp not in consumer._fetcher._records:
                    positions[tp] = state.position
        return _Fetched(records, positions)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Put every assigned partition on its committed offset, or where a new group starts.

        Returns the committed offsets, -1 where there is none.
        """
        offsets: Mapping[TP, int] = await self.call_thread(self._rewind, self._ensure_consumer())
        return offsets

    async def _rewind(self, consumer: aiokafka.AIOKafkaConsumer) -> Mapping[TP, int]:
        offsets: dict[TP, int] = {}
        for tp in consumer.assignment():
            offset = await consumer.committed(tp)
            if offset is not None:
                consumer.seek(tp, offset)
            elif self.app.conf.consumer_auto_offset_reset == "latest":
                await consumer.seek_to_end(tp)
            else:
                await consumer.seek_to_beginning(tp)
            offsets[TP(tp.topic, tp.partition)] = -1 if offset is None else offset
        return offsets

    def end_offset(self, tp: TP) -> int | None:
        """Return the offset up to which there is something to read now, as of the last answer to a fetch."""
        state = self._state(tp)
        if state is None:
            return None
        end: int | None = state.lso if self.transport.options.reads_committed else state.highwater
        return end

    def answered_at_ms(self, tp: TP) -> int | None:
        """Return when the broker last answered a fetch of the partition, in milliseconds since 1970."""
        state = self._state(tp)
        answered: int | None = None if state is None else state.timestamp
        return answered

    def _state(self, tp: TP) -> Any:
        """Return what aiokafka knows of a partition; None if it is not assigned. May be read in any thread."""
        consumer = self._consumer
        subscription = None if consumer is None else consumer._subscription.subscription
        assignment = None if subscription is None else subscription.assignment
        return None if assignment is None or not assignment.active else assignment.state_value(tp)


class Consumer(driver.Consumer):
    """Faust's consumer, with slices, a ledger of what is acknowledged, and a fetch loop that wakes on events."""

    _thread: ConsumerThread
    transport: Transport
    mundane_level = "debug"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.ledger = OffsetLedger()
        self._fetching = asyncio.Lock()
        self._wake = asyncio.Event()
        self._sliced_topics: frozenset[str] = frozenset()
        self._sought_generation: int | None = None
        super().__init__(*args, **kwargs)

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def end_offset(self, tp: TP) -> int | None:
        """Return the offset up to which the partition could be read, or None if that is not known yet."""
        return self._thread.end_offset(tp)

    def answered_at_ms(self, tp: TP) -> int | None:
        """Return when the broker last answered a fetch of the partition, in milliseconds since 1970."""
        return self._thread.answered_at_ms(tp)

    def sliced_assignment(self) -> set[TP]:
        """Return the partitions that are ours now and come in slices."""
        try:
            return {tp for tp in self.assignment() if tp.topic in self._sliced_topics}
        except ConsumerNotStarted:
            return set()

    def done_offset(self, tp: TP) -> int | None:
        """Return the offset up to which everything of the partition is finished, or None if that is not known."""
        done = self.ledger.committable(tp)
        return self._committed_offset.get(tp) if done is None else done

    # Acknowledging and committing.

    def ack(self, message: Message) -> bool:
        """Note that a slice is done; True if that was news. Other messages go Faust's way."""
        if message.topic not in self._sliced_topics:
            return super().ack(message)
        with ack_lock:
            if message.acked:
                return False
            message.acked = True
            is_news = self.ledger.ack(message.tp, message.offset, cast(int, message.generation_id))
            self._n_acked += is_news
        self._release(message)
        return is_news

    def abandon(self, message: Message) -> None:
        """Give a slice back unprocessed: nobody waits for it any more, and it stays uncommitted.

        Only for a slice that cannot be finished here, because its partition is going away or the worker stops.
        Whoever reads the partition next gets it again.
        """
        self._release(message)

    def is_current(self, message: Message) -> bool:
        """Return whether the slice's partition is still ours and the worker goes on."""
        return (
            self.flow_active
            and not self.app.should_stop
            and message.generation_id == self.app.consumer_generation_id
        )

    def is_held(self, message: Message) -> bool:
        """Return whether acknowledging the slice would count: its partition was not taken away since."""
        return self.ledger.holds(message.tp, message.offset, cast(int, message.generation_id))

    def _release(self, message: Message) -> None:
        self._unacked_messages.discard(message)
        notify(self._waiting_for_ack)
        self._wake.set()

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        yield from super()._filter_tps_with_pending_acks(topics)
        for topic, partition in tuple(self.ledger.partitions()):
            tp = TP(topic, partition)
            if tp not in self._acked and (topics is None or tp in topics or topic in topics):
                yield tp

    def _new_offset(self, tp: TP) -> int | None:
        if tp.topic in self._sliced_topics:
            return self.ledger.committable(tp)
        return super()._new_offset(tp)

    async def _commit_tps(self, tps: Iterable[TP], start_new_transaction: bool) -> bool:
        commit_slices = self.transport.options.commit
        if commit_slices is None:
            return await super()._commit_tps(tps, start_new_transaction)
        tps = set(tps)
        sliced = {tp for tp in tps if tp.topic in self._sliced_topics}
        try:
            committed = await commit_slices(frozenset(sliced), self._complete_offset)
        except TransactionLostError as error:
            await self.crash(error)
            return False
        offsets = {TP(*partition): offset for partition, offset in committed.items()}
        self._committed_offset.update(offsets)
        self.app.monitor.on_tp_commit(offsets)
        plain = tps - sliced
        return bool(offsets) | (bool(plain) and await super()._commit_tps(plain, start_new_transaction))

    def _complete_offset(self, partition: Partition) -> int | None:
        """Return the offset to commit if everything acknowledged lies before it, and it is news."""
        tp = TP(*partition)
        offset = self.ledger.committable(tp)
        if offset is None or not self.ledger.is_gapless(tp) or not self._should_commit(tp, offset):
            return None
        return offset

    async def commit_and_end_transactions(self) -> None:
        """Commit all that is acknowledged by now.

        Faust's `commit` does nothing while another one is under way; but that may have begun before the last
        acknowledgement, and here nobody comes afterwards to commit the rest.
        """
        while await self.maybe_wait_for_commit_to_finish():
            pass
        await super().commit_and_end_transactions()

    async def verify_all_partitions_active(self) -> None:
        """Do nothing: `streams.progress` watches the progress, by rules that know slices."""

    # Losing and getting partitions.

    def stop_flow(self) -> None:
        """Stop handing out, and wake the fetch loop, which may be waiting for room."""
        super().stop_flow()
        self._wake.set()

    def close(self) -> None:
        """Do nothing: the thread closes aiokafka's consumer when it stops.

        Faust calls this from the app's loop if a rebalance begins while stopping; aiokafka's objects belong to the
        loop of the thread.
        """

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Let the agent finish what it holds, commit, and then forget the partitions."""
        await super().on_partitions_revoked(revoked)
        self.ledger.drop(revoked)

    async def perform_seek(self) -> None:
        """Start a generation: forget what is in flight, and go back to the committed offsets."""
        async with self._fetching:
            generation = self.app.consumer_generation_id
            self._sought_generation = None
            self._sliced_topics = frozenset(
                topic
                for channel in self.app.topics
                if isinstance(channel.schema, SliceSchema)
                for topic in channel.topics
            )
            self.ledger.begin(generation)
            self._buffered_partitions.clear()
            self._read_offset.clear()
            self._committed_offset.clear()
            on_assignment = self.transport.options.on_assignment
            if on_assignment is not None:
                await on_assignment(frozenset(self.assignment()))
            await super().perform_seek()
            self._sought_generation = generation

    # Fetching.

    def on_buffer_drop(self, tp: TP) -> None:
        """Let a partition be fetched again, at once."""
        super().on_buffer_drop(tp)
        self._wake.set()

    async def _drain_messages(self, fetcher: Any) -> None:
        app = self.app
        try:
            while not (self.should_stop or fetcher.should_stop):
                if not self.flow_active:
                    await self.wait_first(self.can_resume_flow.wait())
                elif self._sought_generation != app.consumer_generation_id:
                    # Faust gave up waiting for perform_seek, and resumed all the same.
                    await self.perform_seek()
                else:
                    async with self._fetching:
                        await self._fetch_and_hand_out()
                # A fetch with data at hand may not suspend at all; others want to run too.
                await asyncio.sleep(0)
        except self.consumer_stopped_errors:
            if not app.should_stop:
                raise
        except asyncio.CancelledError:
            if not app.should_stop:
                raise

    async def _fetch_and_hand_out(self) -> None:
        active = set(self._get_active_partitions())
        if not active:
            await self._woken(timeout=0.1)
            return
        generation = self.app.consumer_generation_id
        fetched = await self._thread.fetch(active, self.transport.options.poll_seconds)
        for item in self._items(fetched):
            while self.ledger.in_flight >= self.transport.options.slices_in_flight and self.flow_active:
                await self._woken()
            if not (self.flow_active and generation == self.app.consumer_generation_id == self._sought_generation):
                return  # perform_seek follows, and these records are fetched again
            await self._hand_out(item)

    def _items(self, fetched: _Fetched) -> Iterable[_Item]:
        rows = self.transport.options.slice_rows
        for aio_tp, records in fetched.records.items():
            tp = TP(aio_tp.topic, aio_tp.partition)
            self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
            if tp.topic in self._sliced_topics:
                for start in range(0, len(records), rows):
                    part = records[start : start + rows]
                    resume = part[-1].offset + 1
                    if start + rows >= len(records):
                        resume = max(resume, fetched.positions.get(tp, 0))
                    yield _Item(tp, self._slice_message(tp, part), resume)
            else:
                for record in records:
                    yield _Item(tp, self._to_message(tp, record), record.offset + 1)
        for tp, position in fetched.positions.items():
            if tp.topic in self._sliced_topics and tp not in fetched.records and self._read_offset[tp] != position:
                yield _Item(tp, None, position)

    def _slice_message(self, tp: TP, records: Sequence[Record]) -> ConsumerMessage:
        last = records[-1]
        return ConsumerMessage(
            topic=tp.topic,
            partition=tp.partition,
            offset=last.offset,
            timestamp=last.timestamp / 1000.0,
            timestamp_type=last.timestamp_type,
            headers=None,
            key=None,
            value=cast(bytes, records),
            checksum=None,
            serialized_key_size=0,
            serialized_value_size=0,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )

    async def _hand_out(self, item: _Item) -> None:
        tp, message, resume = item
        if message is None:
            self.ledger.skip(tp, resume)
            self._read_offset[tp] = resume
            return
        if tp.topic in self._sliced_topics:
            self.ledger.deliver(tp, last=message.offset, resume=resume)
            self._read_offset[tp] = resume
        elif not await self._is_next(tp, message.offset):
            return
        handed_out = asyncio.ensure_future(self.callback(message))
        await asyncio.sleep(0)
        if handed_out.done():
            handed_out.result()
        else:  # rare: topics are being resubscribed, or a plain topic's queue is full
            await self.wait_first(handed_out, self.suspend_flow.wait())

    async def _is_next(self, tp: TP, offset: int) -> bool:
        """Keep Faust's own books of a plain topic: whether the record is new, and which gap is before it."""
        before = self._read_offset[tp]
        if before is not None and offset < before:
            return False
        if before and offset - before > 1 and self.app.topics.acks_enabled_for(tp.topic):
            await self._add_gap(tp, before + 1, offset)
        self._read_offset[tp] = offset
        return True

    async def _woken(self, timeout: float | None = None) -> None:
        """Wait until a slice was acknowledged, a buffer drained or the flow stopped."""
        self._wake.clear()
        try:
            await asyncio.wait_for(self._wake.wait(), timeout)
        except TimeoutError:
            return


class Transport(driver.Transport):
    """Kafka through aiokafka, in slices."""

    Consumer = Consumer

    #: Of this app's consumer; the class holds the defaults.
    options: TransportOptions = TransportOptions()


def register_scheme() -> None:
    """Make Faust know `kafkabatch://` also where this package is not installed and has no entry point."""
    TRANSPORTS.aliases.setdefault(SCHEME, "streams.transport:Transport")
