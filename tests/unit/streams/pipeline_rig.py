"""A pipeline with everything around it made up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from models.serving.served import ModelStamp
from schemas.avro_files import load_schema
from schemas.encoding import Encoder
from schemas.topics import TopicNames
from schemas.wire import SchemaId
from streams.breaker import Breaker
from streams.dead_letters import DeadLetterOffice
from streams.delivery import Refusal
from streams.metrics import Counters
from streams.offsets import Partition
from streams.pipeline import Pipeline
from streams.records import Output, Record
from streams.slices import SliceOutputs
from streams.swap_records import SwapRecords

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
