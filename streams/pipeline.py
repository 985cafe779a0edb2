"""Scores and delivers the slices of a stream: two stages, so that one group is scored while another is sent.

Slices that wait are taken together, whatever their partitions: at low rates many partitions with a few records
each cost one pass over the model and one round trip, not one for each. The order of each partition is kept
throughout: a group is delivered and acknowledged before the next one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final, Protocol

from aiokafka.errors import InvalidTimestampError

from models.serving.served import ModelStamp
from schemas.errors import DependencyUnavailableError, StreamHaltedError
from schemas.topics import TopicNames
from streams import metrics
from streams.breaker import Breaker
from streams.dead_letter_log import DeadLetterLog
from streams.dead_letters import STAGE_WRITE, DeadLetterOffice
from streams.delivery import Delivery, Refusal
from streams.metrics import Counters
from streams.record_slice import RecordGroup, RecordSlice
from streams.records import Output, Record, place_of
from streams.slices import SliceOutputs
from streams.swap_records import SwapRecords

log = logging.getLogger(__name__)

_FIRST_WAIT_SECONDS: Final = 0.5
_LONGEST_WAIT_SECONDS: Final = 10.0
_LOOK_EVERY_SECONDS: Final = 0.1
#: The slices of one fetch reach the agent in about as many turns of the event loop. Without a bound one that never
#: comes, as its partition was taken away meanwhile, would hold up the others.
_TURNS_FOR_ONE_FETCH: Final = 100


class Event(Protocol):
    """A Faust event that carries a slice."""

    value: Sequence[Record]
    message: Any

    def ack(self) -> bool:
        """Tell that every output of the slice is safe."""


class Source(Protocol):
    """Where the slices come from: `streams.transport.Consumer` is one."""

    def is_current(self, message: Any) -> bool:
        """Return whether the slice's partition is still ours and the worker goes on."""

    def is_held(self, message: Any) -> bool:
        """Return whether acknowledging the slice would count: its partition was not taken away since."""

    def is_more_coming(self, n_arrived: int) -> bool:
        """Return whether more slices than so many were fetched that nobody has begun with."""

    def taken(self, message: Any) -> None:
        """Note that work on the slice has begun."""

    def abandon(self, message: Any) -> None:
        """Give the slice back unprocessed."""


class Processor(Protocol):
    """Decides on slices: `streams.slices.SliceProcessor` is one."""

    @property
    def dead_letter_office(self) -> DeadLetterOffice:
        """Writes the dead letters of this group."""

    @property
    def model(self) -> ModelStamp:
        """Which model decides now."""

    def process(self, records: Sequence[Record]) -> SliceOutputs:
        """Decide on every record."""


@dataclass(frozen=True, slots=True)
class _Scored:
    events: Sequence[Event]
    outputs: SliceOutputs


class Pipeline:
    """Runs the slices of one agent through scoring and delivery.

    Args:
        source: of the slices.
        processor: decides; called in `executor`, one call at a time.
        delivery: writes.
        topics: where to.
        swaps: tell which model classifies what.
        breaker: stops the stream when too much is bad.
        counters: of the worker.
        executor: a thread for the work that would block the event loop.
        group_rows: waiting slices are taken together up to about so many records.
        now_ms: the clock, milliseconds since 1970.
    """

    def __init__(
        self,
        *,
        source: Source,
        processor: Processor,
        delivery: Delivery,
        topics: TopicNames,
        swaps: SwapRecords,
        breaker: Breaker,
        counters: Counters,
        executor: Executor,
        group_rows: int,
        now_ms: Callable[[], int],
    ) -> None:
        self._source = source
        self._processor = processor
        self._delivery = delivery
        self._topics = topics
        self._swaps = swaps
        self._breaker = breaker
        self._counters = counters
        self._executor = executor
        self._group_rows = group_rows
        self._now_ms = now_ms
        self._dead_letter_log = DeadLetterLog()
        # The transport bounds how many slices are in flight, so this queue needs no bound of its own.
        self._waiting: asyncio.Queue[Event] = asyncio.Queue()
        self._scored: asyncio.Queue[_Scored] = asyncio.Queue(maxsize=1)

    async def run(self, events: AsyncIterable[Event]) -> None:
        """Score and deliver until the stream ends.

        Raises what makes going on impossible: StreamHaltedError, a broken producer, a bug. What was not
        acknowledged by then stays uncommitted.
        """
        try:
            async with asyncio.TaskGroup() as stages:
                working = [stages.create_task(self._score()), stages.create_task(self._deliver())]
                async for event in events:
                    self._waiting.put_nowait(event)
                for stage in working:
                    stage.cancel()
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _score(self) -> None:
        while True:
            events = self._still_current(await self._take_group())
            outputs = await self._decide(events) if events else None
            if outputs is not None:
                await self._scored.put(_Scored(events, outputs))

    async def _take_group(self) -> list[Event]:
        events = [await self._waiting.get()]
        n_rows = len(events[0].value)
        turns = _TURNS_FOR_ONE_FETCH
        while n_rows < self._group_rows and turns:
            if not self._waiting.empty():
                events.append(self._waiting.get_nowait())
                n_rows += len(events[-1].value)
            elif self._source.is_more_coming(len(events)):
                turns -= 1
                await asyncio.sleep(0)
            else:
                break
        for event in events:
            self._source.taken(event.message)
        return events

    def _still_current(self, events: Sequence[Event]) -> list[Event]:
        current: list[Event] = []
        for event in events:
            if self._source.is_current(event.message):
                current.append(event)
            else:
                self._source.abandon(event.message)
        return current

    async def _decide(self, events: Sequence[Event]) -> SliceOutputs | None:
        """Decide on all records of the slices, as often as a dependency makes it necessary; None if given up."""
        records = _joined([event.value for event in events])
        loop = asyncio.get_running_loop()
        wait = _FIRST_WAIT_SECONDS
        while True:
            started = time.perf_counter()
            try:
                outputs, cpu_seconds = await loop.run_in_executor(self._executor, self._process, records)
            except DependencyUnavailableError as error:
                self._counters.add(metrics.RETRIES)
                log.warning("dependency does not answer", extra={"reason": str(error), "retry_in_seconds": wait})
            else:
                self._counters.add(metrics.SCORING_SECONDS, time.perf_counter() - started)
                self._counters.add(metrics.SCORING_CPU_SECONDS, cpu_seconds)
                return outputs
            if not await self._sleep_while_current(events, wait):
                return None
            wait = min(2 * wait, _LONGEST_WAIT_SECONDS)

    def _process(self, records: Sequence[Record]) -> tuple[SliceOutputs, float]:
        """Decide, and return the CPU seconds that it took of this thread."""
        started = time.thread_time()
        outputs = self._processor.process(records)
        return outputs, time.thread_time() - started

    async def _sleep_while_current(self, events: Sequence[Event], seconds: float) -> bool:
        """Sleep; give the slices back and return False as soon as somebody else is to have them."""
        end = time.monotonic() + seconds
        while self._source.is_current(events[0].message):
            left = end - time.monotonic()
            if left <= 0:
                return True
            await asyncio.sleep(min(left, _LOOK_EVERY_SECONDS))
        for event in events:
            self._source.abandon(event.message)
        return False

    async def _deliver(self) -> None:
        while True:
            scored = await self._scored.get()
            outputs = scored.outputs
            self._breaker.note(outputs.n_records, outputs.dead_positions, outputs.dead_letters)
            sources = frozenset((event.message.topic, event.message.partition) for event in scored.events)
            started = time.perf_counter()
            await self._delivery.begin(sources)
            # Others may have the partitions by now, or we have them anew: then the slices are read again.
            if not all(self._source.is_held(event.message) for event in scored.events):
                await self._delivery.end(sources)
                for event in scored.events:
                    self._source.abandon(event.message)
                continue
            try:
                await self._send_swaps(self._swaps.due(scored.events, outputs.model))
                n_refused = await self._send(outputs)
                for event in scored.events:
                    event.ack()
            except BaseException:
                self._delivery.spoil(sources)
                raise
            await self._delivery.end(sources)
            self._counters.add(metrics.DELIVERY_SECONDS, time.perf_counter() - started)
            self._count(scored, n_refused)

    async def _send_swaps(self, swaps: Sequence[Output]) -> None:
        """Send the swap records, before the outputs: without transactions, no output is without its record."""
        if not swaps:
            return
        topic = self._topics.swaps
        if refusals := await self._delivery.send(topic, swaps):
            raise StreamHaltedError(
                f"topic {topic} does not take which model classifies {place_of(refusals[0].output.record)} "
                f"({refusals[0].error}): compare its configuration with what `sortline topics apply` creates"
            )

    async def _send(self, outputs: SliceOutputs) -> tuple[int, int]:
        """Send everything; return how many for the categorized and the review topic became dead letters."""
        self._dead_letter_log.note(outputs.dead_letters)
        categorized, review, _ = await asyncio.gather(
            self._delivery.send(self._topics.categorized, outputs.categorized),
            self._delivery.send(self._topics.review, outputs.review),
            self._send_dead_letters(outputs.dead_letters),
        )
        if refusals := [*categorized, *review]:
            letters = [self._refused(one) for one in refusals]
            self._dead_letter_log.note(letters)
            await self._send_dead_letters(letters)
        return len(categorized), len(review)

    def _refused(self, refusal: Refusal) -> Output:
        reason = f"the broker does not take the output: {refusal.error}"
        return self._processor.dead_letter_office.write(
            refusal.output.record, stage=STAGE_WRITE, reason=reason, error=refusal.error
        )

    async def _send_dead_letters(self, letters: Sequence[Output]) -> None:
        topic = self._topics.dead_letters
        refusals = await self._delivery.send(topic, letters)
        # The original's timestamp may be outside of what this topic allows; the letter matters more.
        untimely = [one.output for one in refusals if isinstance(one.error, InvalidTimestampError)]
        refusals = [one for one in refusals if not isinstance(one.error, InvalidTimestampError)]
        if untimely:
            now = self._now_ms()
            refusals += await self._delivery.send(topic, [one._replace(timestamp_ms=now) for one in untimely])
        if refusals:
            record, error = refusals[0].output.record, refusals[0].error
            raise StreamHaltedError(
                f"the dead letter of {place_of(record)} cannot be written to {topic} ({error}): "
                f"raise max.message.bytes of that topic above that of {record.topic} and start again"
            )

    def _count(self, scored: _Scored, n_refused: tuple[int, int]) -> None:
        outputs, add = scored.outputs, self._counters.add
        add(metrics.SLICES, len(scored.events))
        add(metrics.RECORDS, outputs.n_records)
        add(metrics.CATEGORIZED, len(outputs.categorized) - outputs.n_tombstones - n_refused[0])
        add(metrics.BACKED_OFF, outputs.n_backed_off)
        add(metrics.TOMBSTONES, outputs.n_tombstones)
        add(metrics.REVIEW, len(outputs.review) - n_refused[1])
        add(metrics.DEAD_LETTERS, len(outputs.dead_letters) + sum(n_refused))
        self._counters.add_stages(outputs.stage_ns)


def _joined(slices: Sequence[Sequence[Record]]) -> Sequence[Record]:
    columnar = [one for one in slices if isinstance(one, RecordSlice)]
    if len(columnar) == len(slices):
        return RecordGroup(columnar)
    return [record for one in slices for record in one]
