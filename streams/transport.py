"""Faust transport `kafkabatch://`: one Faust event for each fetched slice of a partition.

A topic whose schema is a `SliceSchema` is handed to its agent in slices: `RecordSlice`s of
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

The attributes of Faust, mode and aiokafka that this module and `loop_consumer` touch are listed and checked in
`tests/unit/streams/test_faust_contract.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple, cast

import faust
from faust.exceptions import ConsumerNotStarted
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage, Message, ack_lock
from mode.utils.futures import notify

from schemas.errors import TransactionLostError
from streams.loop_consumer import Fetched, LoopConsumer, TransportOptions
from streams.offsets import OffsetLedger, Partition
from streams.record_slice import RecordSlice

SCHEME: Final = "kafkabatch"

#: A fetch that brings fewer records than this says that the stream keeps up easily.
_LIGHT_LOAD_ROWS: Final = 1_000


class SliceSchema(faust.Schema[Any, Any]):
    """Marks a topic whose events are slices; the value of an event is the slice of records, untouched."""

    def loads_key(self, app: Any, message: Message, *, loads: Any = None, serializer: Any = None) -> None:
        """Return None: a slice has no key of its own."""

    def loads_value(self, app: Any, message: Message, *, loads: Any = None, serializer: Any = None) -> Any:
        """Return the records as they were fetched."""
        return message.value


class _Item(NamedTuple):
    """What the fetch loop does next in a partition: hand out a message, or note that reading merely went on."""

    tp: TP
    message: ConsumerMessage | None
    resume: int


class Consumer(driver.Consumer):
    """Faust's consumer, with slices, a ledger of what is acknowledged, and a fetch loop that wakes on events."""

    _thread: LoopConsumer
    transport: Transport
    mundane_level = "debug"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.ledger = OffsetLedger()
        self._fetching = asyncio.Lock()
        self._wake = asyncio.Event()
        self._sliced_topics: frozenset[str] = frozenset()
        self._sought_generation: int | None = None
        self._n_untaken = 0
        self._is_light_load = False
        super().__init__(*args, **kwargs)

    def _new_consumer_thread(self) -> LoopConsumer:
        return LoopConsumer(self, loop=self.loop, beacon=self.beacon)

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
        """Do nothing: aiokafka's consumer is closed when its service stops, and leaves the group then.

        Faust calls this if a rebalance begins while stopping.
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
            self._n_untaken = 0
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
        await self._pace()
        self._thread.gate.open()
        fetched = await self._thread.fetch(active, self.transport.options.poll_seconds)
        n_records = sum(map(len, fetched.records.values()))
        self._is_light_load = 0 < n_records < _LIGHT_LOAD_ROWS
        if self._is_light_load:
            self._thread.gate.shut()
        items = list(self._items(fetched))
        self._n_untaken += sum(item.message is not None and item.tp.topic in self._sliced_topics for item in items)
        for item in items:
            while self.ledger.in_flight >= self.transport.options.slices_in_flight and self.flow_active:
                await self._woken()
            if not (self.flow_active and generation == self.app.consumer_generation_id == self._sought_generation):
                return  # perform_seek follows, and these records are fetched again
            await self._hand_out(item)

    async def _pace(self) -> None:
        """Wait until everything handed out is acknowledged, if that was little.

        Under light load every millisecond brings some records. To hand these out while others are decided and sent
        costs a pass over the model and a round trip for a handful of them, and the more of these wait in line, the
        later all are. One group at a time, of all that came while the one before was under way, is soonest done.
        """
        while self.ledger.in_flight > 0 and self._is_light_load and self.flow_active:
            await self._woken(timeout=self.transport.options.poll_seconds)

    def is_more_coming(self, n_arrived: int) -> bool:
        """Return whether more slices than so many were fetched that the agent has not begun with."""
        return self._n_untaken > n_arrived

    def taken(self, message: Message) -> None:
        """Note that the agent has begun to work on a slice."""
        if message.generation_id == self._sought_generation:
            self._n_untaken -= 1

    def _items(self, fetched: Fetched) -> Iterable[_Item]:
        rows = self.transport.options.slice_rows
        for aio_tp, records in fetched.records.items():
            tp = TP(aio_tp.topic, aio_tp.partition)
            self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
            if tp.topic in self._sliced_topics:
                for start in range(0, len(records), rows):
                    part = records[start : start + rows]
                    resume = part.last_offset + 1
                    if start + rows >= len(records):
                        resume = max(resume, fetched.positions.get(tp, 0))
                    yield _Item(tp, self._slice_message(tp, part), resume)
            else:
                for record in records:
                    yield _Item(tp, self._to_message(tp, record), record.offset + 1)
        for tp, position in fetched.positions.items():
            if tp.topic in self._sliced_topics and tp not in fetched.records and self._read_offset[tp] != position:
                yield _Item(tp, None, position)

    def _slice_message(self, tp: TP, records: RecordSlice) -> ConsumerMessage:
        return ConsumerMessage(
            topic=tp.topic,
            partition=tp.partition,
            offset=records.last_offset,
            timestamp=int(records.arrays.timestamps[-1]) / 1000.0,
            timestamp_type=int(records.arrays.timestamp_types[-1]),
            headers=None,
            key=None,
            value=cast(Any, records),
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
