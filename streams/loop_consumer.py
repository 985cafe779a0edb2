"""aiokafka's consumer in the app's event loop: fetching, positions, going back to what was committed, leaving.

Faust gives the consumer a thread with a loop of its own. Here nothing blocks the app's loop for longer than it
takes to fill a batch, so heartbeats need no such protection, and the thread costs much: in every turn of its loop
and with every call into it, somebody waits for the interpreter's lock. Under light load that was most of the time
between an event and its result.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import aiokafka
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode import Service
from mode.utils.futures import maybe_async

from streams.client_watch import watch_client
from streams.columnar_fetch import install
from streams.fetch_gate import FetchGate
from streams.offsets import Partition
from streams.record_slice import RecordSlice

if TYPE_CHECKING:
    from streams.transport import Transport

CommitSlices: TypeAlias = Callable[
    [frozenset[Partition], Callable[[Partition], int | None]], Awaitable[Mapping[Partition, int]]
]

#: How long to try to leave the group in good order when stopping.
_LEAVE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportOptions:
    """What Faust's settings cannot say. Set `Transport.options` before the app starts.

    Attributes:
        slice_rows: most records in one slice.
        slices_in_flight: most slices handed out and not acknowledged.
        fetch_wait_seconds: how long the broker may hold a fetch that finds no data. New data ends the wait.
        poll_seconds: how long the fetch loop waits for records. New data ends the wait.
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


@dataclass(frozen=True, slots=True)
class Fetched:
    """Records by partition, and where reading goes on in the partitions that have nothing left to hand over."""

    records: Mapping[TP, RecordSlice]
    positions: Mapping[TP, int]


class LoopConsumer(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread without the thread. `gate` is there once it is started."""

    transport: Transport
    gate: FetchGate
    mundane_level = "debug"  # that a service starts is no news
    wait_for_shutdown = False

    def __init__(self, consumer: Any, *, loop: asyncio.AbstractEventLoop, **kwargs: Any) -> None:
        super().__init__(consumer, loop=loop, thread_loop=loop, **kwargs)

    async def start(self) -> None:
        """Start in this loop."""
        self._thread_started.set()
        await self._default_start()

    async def stop(self) -> None:
        """Leave the group and disconnect."""
        await Service.stop(self)

    async def _stop_children(self) -> None:
        await self._default_stop_children()

    async def _stop_futures(self) -> None:
        await self._default_stop_futures()

    async def _stop_exit_stacks(self) -> None:
        await self._default_stop_exit_stacks()

    async def call_thread(self, fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call it here and now; awaited if it is to be."""
        return await maybe_async(fun(*args, **kwargs))

    def _create_worker_consumer(self, transport: driver.Transport) -> aiokafka.AIOKafkaConsumer:
        install()
        # Faust fixes these two in the call of the constructor; the consumer reads them when it starts.
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = int(self.transport.options.fetch_wait_seconds * 1000)
        if self.transport.options.reads_committed:
            consumer._isolation_level = "read_committed"
        return consumer

    async def on_start(self) -> None:
        """Connect, and from then on notice if the client stops to work."""
        await super().on_start()
        consumer = self._ensure_consumer()
        watch_client(consumer._client, "the consumer", lambda error: asyncio.ensure_future(self.app.crash(error)))
        self.gate = FetchGate(consumer._fetcher)

    async def on_stop(self) -> None:
        """Leave the group and disconnect, but do not wait for a rebalance that others hold up.

        aiokafka first finishes the rebalance that it is in, and that may wait for another member for minutes. What
        was acknowledged is committed by now; who cannot say good-bye is missed after the session timeout.
        """
        if self._consumer is None:
            return
        try:
            await asyncio.wait_for(self._consumer.stop(), _LEAVE_SECONDS)
        except TimeoutError:
            self.log.warning("group not left in time")
            await self._consumer._client.close()

    async def fetch(self, partitions: set[TP], timeout: float) -> Fetched:
        """Wait for data in one of the partitions and return what there is; nothing after `timeout` seconds."""
        consumer = self._ensure_consumer()
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
        return Fetched(cast("Mapping[TP, RecordSlice]", records), positions)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Put every assigned partition on its committed offset, or where a new group starts.

        Returns the committed offsets, -1 where there is none.
        """
        consumer = self._ensure_consumer()
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
        """Return what aiokafka knows of a partition; None if it is not assigned."""
        consumer = self._consumer
        subscription = None if consumer is None else consumer._subscription.subscription
        assignment = None if subscription is None else subscription.assignment
        return None if assignment is None or not assignment.active else assignment.state_value(tp)
