"""Scoring and delivering, with everything around it made up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import InvalidTimestampError, MessageSizeTooLargeError

from schemas.avro_files import load_schema
from schemas.encoding import Encoder
from schemas.errors import DependencyUnavailableError, StreamHaltedError
from schemas.topics import TopicNames
from schemas.wire import SchemaId
from streams import metrics
from streams.breaker import Breaker
from streams.dead_letters import DeadLetterOffice
from streams.delivery import Refusal
from streams.metrics import Counters
from streams.offsets import Partition
from streams.pipeline import Pipeline
from streams.records import Output, Record
from streams.served_model import ModelStamp
from streams.slices import SliceOutputs
from streams.swap_records import SwapRecords
from tests.unit.streams.conftest import TitleClassifier

if TYPE_CHECKING:
    from tests.unit.streams.conftest import Workbench

TOPICS = TopicNames()


@dataclass
class Message:
    topic: str
    partition: int
    offset: int
    generation_id: int = 1


@dataclass
class Slice:
    """A Faust event, as far as the pipeline knows one."""

    value: Sequence[Record]
    message: Message
    journal: list[str]

    def ack(self) -> bool:
        self.journal.append(f"ack {self.message.partition}/{self.message.offset}")
        return True


@dataclass
class Rig:
    """A pipeline and its surroundings; the journal tells what happened in which order."""

    processor: Any
    journal: list[str] = field(default_factory=list)
    sent: dict[str, list[Output]] = field(default_factory=dict)
    refused: dict[str, Callable[[Output], Any]] = field(default_factory=dict)
    abandoned: list[Message] = field(default_factory=list)
    taken_at: list[int] = field(default_factory=list)
    counters: Counters = field(default_factory=Counters)
    most_in_a_row: int = 1_000
    current: bool = True
    held: bool = True
    fetched: int = 0
    sending: asyncio.Event | None = None
    processed: list[int] = field(default_factory=list)

    # the source

    def is_current(self, message: Message) -> bool:
        return self.current

    def is_held(self, message: Message) -> bool:
        return self.held

    def is_more_coming(self, n_arrived: int) -> bool:
        return self.fetched - len(self.taken_at) > n_arrived

    def taken(self, message: Message) -> None:
        self.taken_at.append(len(self.processed))

    def abandon(self, message: Message) -> None:
        self.abandoned.append(message)

    # the processor

    @property
    def dead_letter_office(self) -> DeadLetterOffice:
        office: DeadLetterOffice = self.processor.dead_letter_office
        return office

    @property
    def model(self) -> ModelStamp:
        model: ModelStamp = self.processor.model
        return model

    def process(self, records: Sequence[Record]) -> SliceOutputs:
        self.processed.append(len(records))
        outputs: SliceOutputs = self.processor.process(records)
        return outputs

    # the delivery

    async def assigned(self, partitions: frozenset[Partition]) -> None: ...

    async def begin(self, sources: frozenset[Partition]) -> None:
        self.journal.append(f"begin {sorted(partition for _, partition in sources)}")

    async def end(self, sources: frozenset[Partition]) -> None:
        self.journal.append(f"end {sorted(partition for _, partition in sources)}")

    def spoil(self, sources: frozenset[Partition]) -> None:
        self.journal.append(f"spoil {sorted(partition for _, partition in sources)}")

    async def send(self, topic: str, outputs: Sequence[Output]) -> Sequence[Refusal]:
        if not outputs:
            return ()
        if self.sending is not None:
            await self.sending.wait()
        await asyncio.sleep(0)
        refusals: list[Refusal] = []
        for one in outputs:
            error = self.refused[topic](one) if topic in self.refused else None
            if error is None:
                self.sent.setdefault(topic, []).append(one)
            else:
                refusals.append(Refusal(output=one, error=error))
        self.journal.append(f"sent {len(outputs) - len(refusals)} to {topic}")
        return refusals

    def slice(self, records: Sequence[Record]) -> Slice:
        last = records[-1]
        return Slice(records, Message(last.topic, last.partition, last.offset), self.journal)

    async def run(self, *slices: Slice, then: Callable[[], bool] | None = None, pause: bool = False) -> None:
        """Run the slices through; `then` says when it is over, instead of "all is acknowledged".

        With `pause` they come in turns of the event loop of their own.
        """
        is_over = then or (lambda: sum("ack" in one for one in self.journal) >= len(slices))

        async def stream() -> AsyncIterator[Slice]:
            for one in slices:
                yield one
                if pause:
                    await asyncio.sleep(0)
            while not is_over():
                await asyncio.sleep(0.001)

        with ThreadPoolExecutor(1) as executor:
            pipeline = Pipeline(
                source=self,
                processor=self,
                delivery=self,
                topics=TOPICS,
                swaps=SwapRecords(
                    encoder=Encoder(load_schema("model_swap"), SchemaId(9)),
                    group_id="sorters",
                    worker="w",
                    now_ms=lambda: 0,
                ),
                breaker=Breaker(most_in_a_row=self.most_in_a_row),
                counters=self.counters,
                executor=executor,
                group_rows=100,
                now_ms=lambda: 1_700_000_000_000,
            )
            await asyncio.wait_for(pipeline.run(stream()), 20)


@pytest.fixture
def rig(workbench: Workbench) -> Rig:
    return Rig(workbench.processor)


async def test_a_slice_is_acknowledged_only_after_every_output_was_sent(rig: Rig, workbench: Workbench) -> None:
    records = [
        workbench.product("a", "lamp"),
        workbench.product("b", "unsure lamp"),
        workbench.record(b"c", b"broken"),
    ]
    await rig.run(rig.slice(records))
    assert rig.journal[0] == "begin [0]"
    assert rig.journal[1] == "sent 1 to model-swaps"
    assert sorted(rig.journal[2:5]) == [
        "sent 1 to products.categorized",
        "sent 1 to products.created.dlq",
        "sent 1 to products.review",
    ]
    assert rig.journal[5:] == ["ack 0/2", "end [0]"]


async def test_a_slice_is_told_as_taken_before_the_work_on_it_begins(rig: Rig, workbench: Workbench) -> None:
    slices = [rig.slice([workbench.product(f"p{nth}", "lamp")]) for nth in range(3)]
    await rig.run(*slices, then=lambda: sum(rig.processed) == 3)
    assert len(rig.taken_at) == 3
    assert rig.taken_at[0] == 0


async def test_the_slices_of_one_fetch_are_decided_together_though_they_come_one_by_one(
    rig: Rig, workbench: Workbench
) -> None:
    rig.fetched = 4
    arriving = [rig.slice([workbench.product(f"p{nth}", "lamp", partition=nth)]) for nth in range(4)]
    await rig.run(*arriving, pause=True)
    assert rig.processed == [4]


async def test_a_slice_of_the_fetch_that_never_comes_does_not_hold_up_the_others(
    rig: Rig, workbench: Workbench
) -> None:
    rig.fetched = 4
    await rig.run(*(rig.slice([workbench.product(f"p{nth}", "lamp")]) for nth in range(3)))
    assert sum(rig.processed) == 3


async def test_a_slice_that_was_taken_away_while_it_waited_is_given_back_unsent(
    rig: Rig, workbench: Workbench
) -> None:
    rig.held = False
    await rig.run(rig.slice([workbench.product("a", "lamp")]), then=lambda: bool(rig.abandoned))
    assert rig.journal == ["begin [0]", "end [0]"]
    assert rig.sent == {}


async def test_a_delivery_that_fails_is_spoiled_and_not_acknowledged(rig: Rig, workbench: Workbench) -> None:
    rig.refused[TOPICS.dead_letters] = lambda _: MessageSizeTooLargeError()
    with pytest.raises(StreamHaltedError):
        await rig.run(rig.slice([workbench.record(b"a", b"broken")]))
    assert rig.journal[-1] == "spoil [0]"


async def test_slices_that_wait_are_decided_together_and_acknowledged_in_order(
    rig: Rig, workbench: Workbench
) -> None:
    slices = [rig.slice([workbench.product(f"p{number}", "lamp", partition=number % 3)]) for number in range(9)]
    await rig.run(*slices)
    assert len(rig.processed) < len(slices)
    assert sum(rig.processed) == 9
    assert [one for one in rig.journal if "ack" in one] == [f"ack {n % 3}/{n}" for n in range(9)]
    assert [one.key for one in rig.sent[TOPICS.categorized]] == [f"p{n}".encode() for n in range(9)]


async def test_a_group_is_bounded_by_its_number_of_records(rig: Rig, workbench: Workbench) -> None:
    slices = [rig.slice(workbench.products(["lamp"] * 60)) for _ in range(5)]
    await rig.run(*slices)
    assert max(rig.processed) <= 120
    assert sum(rig.processed) == 300


async def test_everything_is_counted_once(rig: Rig, workbench: Workbench) -> None:
    records = [
        workbench.product("a", "lamp"),
        workbench.product("b", "vague lamp"),
        workbench.product("c", "unsure lamp"),
        workbench.record(b"d", None),
        workbench.record(b"e", b"broken"),
    ]
    await rig.run(rig.slice(records))
    value = rig.counters.value
    assert value(metrics.RECORDS) == 5
    assert value(metrics.CATEGORIZED) == 2
    assert value(metrics.BACKED_OFF) == 1
    assert value(metrics.REVIEW) == 1
    assert value(metrics.TOMBSTONES) == 1
    assert value(metrics.DEAD_LETTERS) == 1
    assert value(metrics.SLICES) == 1


async def test_an_output_that_the_broker_refuses_becomes_a_dead_letter(rig: Rig, workbench: Workbench) -> None:
    rig.refused[TOPICS.categorized] = lambda one: MessageSizeTooLargeError() if one.key == b"p-1" else None
    records = workbench.products(["lamp", "huge lamp", "desk"])
    await rig.run(rig.slice(records))
    assert [one.key for one in rig.sent[TOPICS.categorized]] == [b"p-0", b"p-2"]
    (letter,) = rig.sent[TOPICS.dead_letters]
    assert (letter.key, letter.value) == (b"p-1", records[1].value)
    assert b"does not take the output" in (dict(letter.headers)["__connect.errors.exception.message"] or b"")
    assert rig.counters.value(metrics.CATEGORIZED) == 2
    assert rig.counters.value(metrics.DEAD_LETTERS) == 1
    assert rig.journal[-2:] == ["ack 0/2", "end [0]"]


async def test_a_dead_letter_whose_time_is_refused_is_sent_with_the_present_time(
    rig: Rig, workbench: Workbench
) -> None:
    now = 1_700_000_000_000
    rig.refused[TOPICS.dead_letters] = lambda one: None if one.timestamp_ms == now else InvalidTimestampError()
    await rig.run(rig.slice([workbench.record(b"a", b"broken")]))
    (letter,) = rig.sent[TOPICS.dead_letters]
    assert (letter.value, letter.timestamp_ms) == (b"broken", now)


async def test_a_dead_letter_that_cannot_be_written_halts_the_stream_unacknowledged(
    rig: Rig, workbench: Workbench
) -> None:
    rig.refused[TOPICS.dead_letters] = lambda _: MessageSizeTooLargeError()
    with pytest.raises(StreamHaltedError, match=r"products\.created/0/0 .*raise max\.message\.bytes"):
        await rig.run(rig.slice([workbench.record(b"a", b"broken")]))
    assert not any("ack" in one for one in rig.journal)


async def test_too_many_dead_letters_in_a_row_halt_the_stream_before_the_last_slice_is_written(
    rig: Rig, workbench: Workbench
) -> None:
    rig.most_in_a_row = 5
    first = rig.slice(workbench.products(["lamp"] * 150))
    good = rig.slice([workbench.product("a", "lamp")])
    bad = rig.slice([workbench.record(b"x", b"broken") for _ in range(200)])
    with pytest.raises(
        StreamHaltedError, match=r"6 records in a row .* 5 are allowed; the last was products\.created/0/156: "
    ):
        await rig.run(first, good, bad, then=lambda: False)
    assert TOPICS.dead_letters not in rig.sent
    assert [one for one in rig.journal if "ack" in one] == ["ack 0/149"]


async def test_a_dependency_that_comes_back_is_waited_for_and_nothing_is_lost(
    rig: Rig, workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.pipeline._FIRST_WAIT_SECONDS", 0.001)
    failures = iter([DependencyUnavailableError("away"), DependencyUnavailableError("away")])
    real = rig.processor

    class Flaky:
        dead_letter_office = real.dead_letter_office

        def process(self, records: Sequence[Record]) -> SliceOutputs:
            for failure in failures:
                raise failure
            outputs: SliceOutputs = real.process(records)
            return outputs

    rig.processor = Flaky()
    await rig.run(rig.slice(workbench.products(["lamp", "desk"])))
    assert len(rig.sent[TOPICS.categorized]) == 2
    assert rig.counters.value(metrics.RETRIES) == 2


async def test_a_slice_that_waits_for_a_dependency_is_given_back_when_its_partition_goes_away(
    rig: Rig, workbench: Workbench
) -> None:
    class Away:
        dead_letter_office = rig.processor.dead_letter_office

        def process(self, records: Sequence[Record]) -> SliceOutputs:
            rig.current = False
            raise DependencyUnavailableError("away")

    rig.processor = Away()
    one = rig.slice(workbench.products(["lamp"]))
    await rig.run(one, then=lambda: bool(rig.abandoned))
    assert rig.abandoned == [one.message]
    assert not any("ack" in entry for entry in rig.journal)


async def test_slices_of_a_partition_that_went_away_are_given_back_unprocessed(
    rig: Rig, workbench: Workbench
) -> None:
    rig.current = False
    slices = [rig.slice(workbench.products(["lamp"])) for _ in range(3)]
    await rig.run(*slices, then=lambda: len(rig.abandoned) == 3)
    assert rig.processed == []
    assert rig.journal == []


async def test_an_unexpected_exception_comes_out_as_it_is(rig: Rig, workbench: Workbench) -> None:
    class Broken:
        dead_letter_office = rig.processor.dead_letter_office

        def process(self, records: Sequence[Record]) -> SliceOutputs:
            raise KeyError("bug")

    rig.processor = Broken()
    with pytest.raises(KeyError, match="bug"):
        await rig.run(rig.slice(workbench.products(["lamp"])), then=lambda: False)
    assert not any("ack" in one for one in rig.journal)


async def test_the_next_group_is_scored_while_the_one_before_is_being_sent(rig: Rig, workbench: Workbench) -> None:
    rig.sending = asyncio.Event()
    slices = [rig.slice(workbench.products(["lamp"] * 150)) for _ in range(2)]

    def is_over() -> bool:
        if len(rig.processed) == 2 and rig.sending is not None:
            rig.sending.set()
        return sum("ack" in one for one in rig.journal) == 2

    await rig.run(*slices, then=is_over)
    assert rig.processed == [150, 150]


async def test_which_model_classifies_is_told_once_a_partition_before_its_outputs(
    rig: Rig, workbench: Workbench
) -> None:
    slices = [rig.slice([workbench.product(f"p{nth}", "lamp", partition=nth % 2)]) for nth in range(6)]
    await rig.run(*slices)
    assert sorted(one.key or b"" for one in rig.sent[TOPICS.swaps]) == [
        b"products.created/0",
        b"products.created/1",
    ]
    assert next(one for one in rig.journal if "sent" in one).endswith(TOPICS.swaps)


async def test_a_swap_is_told_with_the_first_group_that_the_new_model_classified(
    rig: Rig, workbench: Workbench
) -> None:
    """The new model comes while the second of three groups is scored, so it is the third's."""

    class SwapsTheSecondTime:
        def __getattr__(self, name: str) -> Any:
            return getattr(workbench.processor, name)

        def process(self, records: Sequence[Record]) -> SliceOutputs:
            outputs = workbench.processor.process(records)
            if len(rig.processed) == 2:
                workbench.processor.swap(TitleClassifier(version="v2"), 2)
            return outputs

    rig.processor = SwapsTheSecondTime()
    slices = [rig.slice([workbench.product(f"p{nth}-{row}", "lamp") for row in range(100)]) for nth in range(3)]
    await rig.run(*slices)
    assert [one.record.offset for one in rig.sent[TOPICS.swaps]] == [0, 200]
    versions = [workbench.published(one.value)["model_version"] for one in rig.sent[TOPICS.categorized]]
    assert versions == ["v1"] * 200 + ["v2"] * 100


async def test_a_swap_record_that_the_topic_refuses_halts_the_stream_before_any_output(
    rig: Rig, workbench: Workbench
) -> None:
    rig.refused[TOPICS.swaps] = lambda _: MessageSizeTooLargeError()
    with pytest.raises(StreamHaltedError, match="topic model-swaps does not take"):
        await rig.run(rig.slice([workbench.product("a", "lamp")]))
    assert rig.sent == {}
    assert rig.journal[-1] == "spoil [0]"
