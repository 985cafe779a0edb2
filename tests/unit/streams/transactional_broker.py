"""A broker and transactional producers in memory."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from aiokafka.errors import KafkaError, MessageSizeTooLargeError, ProducerFenced

from streams.delivery import ProducerOptions

IN, OUT, REVIEW = "products.created", "products.categorized", "products.review"


@dataclass
class Batch:
    """Takes three records."""

    rows: list[tuple[bytes | None, bytes | None]] = field(default_factory=list)

    def append(self, *, timestamp: int, key: bytes | None, value: bytes | None, headers: object) -> object | None:
        if len(self.rows) == 3:
            return None
        self.rows.append((key, value))
        return self

    def close(self) -> None: ...


@dataclass
class Broker:
    """Committed transactions: keys by topic and partition, and offsets. Refuses values by how they begin."""

    partitions: dict[str, int] = field(default_factory=lambda: {IN: 2, OUT: 2, REVIEW: 2})
    committed: list[tuple[dict[tuple[str, int], list[bytes | None]], dict[Any, int]]] = field(default_factory=list)
    owners: dict[str, FakeProducer] = field(default_factory=dict)
    producers: list[FakeProducer] = field(default_factory=list)
    failures: list[KafkaError] = field(default_factory=list)
    refused: tuple[bytes, ...] = (b"huge",)
    is_slow: bool = False
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    def visible(self, topic: str) -> list[bytes | None]:
        return [
            key for written, _ in self.committed for place, keys in written.items() if place[0] == topic
            for key in keys
        ]  # fmt: skip

    def new_producer(self, options: ProducerOptions, *, transactional_id: str, **more: Any) -> FakeProducer:
        producer = FakeProducer(self, transactional_id)
        self.producers.append(producer)
        return producer


@dataclass(eq=False)
class FakeProducer:
    """Behaves like a transactional aiokafka producer: fenced by a younger one, useless after a refused batch."""

    broker: Broker
    transactional_id: str
    written: dict[tuple[str, int], list[bytes | None]] | None = None
    offsets: dict[Any, int] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    client: object = None
    is_unfit: bool = False
    is_stopped: bool = False
    n_aborted: int = 0

    async def start(self) -> None:
        if self.broker.failures:
            raise self.broker.failures.pop(0)
        self.broker.owners[self.transactional_id] = self

    async def stop(self) -> None:
        self.is_stopped = True

    async def partitions_for(self, topic: str) -> set[int]:
        if topic not in self.known:
            await asyncio.sleep(0)  # the broker is asked
            self.known.add(topic)
        return set(range(self.broker.partitions[topic]))

    def create_batch(self) -> Batch:
        return Batch()

    def _check(self) -> None:
        if self.broker.owners.get(self.transactional_id) is not self:
            raise ProducerFenced

    async def begin_transaction(self) -> None:
        assert self.written is None, "begun twice"
        self.written = {}

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> asyncio.Future[None]:
        assert self.written is not None, "not in a transaction"
        assert topic in self.known, "aiokafka would wait here, for ever if the producer is stopped meanwhile"
        if self.broker.is_slow:
            await self.broker.go_on.wait()
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await asyncio.sleep(0)
        try:
            self._check()
        except ProducerFenced as error:
            answer.set_exception(error)
            return answer
        if any((value or b"").startswith(self.broker.refused) for _, value in batch.rows):
            self.is_unfit = True
            answer.set_exception(MessageSizeTooLargeError())
        else:
            self.written.setdefault((topic, partition), []).extend(key for key, _ in batch.rows)
            answer.set_result(None)
        return answer

    async def send_offsets_to_transaction(self, offsets: dict[Any, int], group_id: str) -> None:
        assert group_id == "sorters"
        self._check()
        self.offsets = offsets

    async def commit_transaction(self) -> None:
        self._check()
        assert self.written is not None
        assert not self.is_unfit
        if self.broker.is_slow:
            await self.broker.go_on.wait()
        self.broker.committed.append((self.written, self.offsets))
        self.written = None

    async def abort_transaction(self) -> None:
        self._check()
        self.n_aborted += 1
        self.written = None
