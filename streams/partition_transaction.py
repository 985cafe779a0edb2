"""The outputs of one input partition, in transactions that also commit the partition's offset."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final

from aiokafka.errors import IllegalOperation, KafkaError, MessageSizeTooLargeError
from aiokafka.structs import TopicPartition

from schemas.errors import TransactionLostError
from streams.delivery import REFUSALS, BatchFiller, Refusal
from streams.offsets import Partition
from streams.records import Output

log = logging.getLogger(__name__)

#: How long an old producer may take to abort and to disconnect. Nobody waits for it but the end of the process.
_CLOSE_SECONDS: Final = 5.0

#: What aiokafka raises when a transactional producer is of no use any more. It asserts its own states.
_BROKEN: Final = (KafkaError, IllegalOperation, AssertionError)


class PartitionTransaction:
    """The transactional producer of one input partition, from its assignment to the next one.

    `lock` is held from the first write for a slice to its acknowledgement, and by `commit`: so a transaction holds
    exactly the outputs of the offsets that it commits.

    A record that the broker refuses makes its transaction unfit for a commit. Then a new producer of the same
    transactional id takes over, which aborts the old transaction, and everything since the last commit but the
    refused record is written again. For this the outputs of a transaction are kept until its commit.

    Args:
        partition: of the input.
        filler: of the batches that its producers send.
        group_id: whose offsets are committed.
        start_producer: returns a producer of this partition's transactional id, started: by then all others of
            that id are fenced, and their open transaction is aborted.
    """

    def __init__(
        self,
        partition: Partition,
        *,
        filler: BatchFiller,
        group_id: str,
        start_producer: Callable[[], Awaitable[Any]],
    ) -> None:
        self.partition = partition
        self.lock = asyncio.Lock()
        self.is_spoiled = False
        self._filler = filler
        self._group_id = group_id
        self._start_producer = start_producer
        self._producer: Any = None  # an AIOKafkaProducer, which has no types; None while there is no usable one
        self._changing = asyncio.Lock()
        self._is_open = False
        self._written: list[tuple[str, int, Sequence[Output]]] = []
        self._closing: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Fence whoever wrote for the partition before."""
        self._producer = await self._start_producer()

    async def partitions_for(self, topic: str) -> int:
        """Return how many partitions a topic has."""
        return len(await (await self._ready()).partitions_for(topic))

    async def write(self, topic: str, partition: int, rows: Sequence[Output]) -> list[Refusal]:
        """Write the rows in order, and return those that the broker will never take.

        Raises TransactionLostError if the transaction cannot be committed any more.
        """
        return await self._write(topic, partition, rows, _Sizes())

    async def _write(self, topic: str, partition: int, rows: Sequence[Output], sizes: _Sizes) -> list[Refusal]:
        refusals: list[Refusal] = []
        start = 0
        while start < len(rows):
            producer = await self._ready()
            batch, end = self._filler.fill(producer, rows, start)
            part = rows[start:end]
            try:
                await (await producer.send_batch(batch, topic, partition=partition))
            except REFUSALS as error:
                with self._lost():
                    await self._start_over(producer)
                refusals += await self._without_refused(topic, partition, part, error, sizes)
            except _BROKEN as error:
                if producer is self._producer:
                    raise self._loss(error) from error
                continue  # another write was refused meanwhile: write this part again in the new transaction
            else:
                if producer is not self._producer:
                    continue
                self._written.append((topic, partition, part))
            start = end
        return refusals

    async def _without_refused(
        self, topic: str, partition: int, rows: Sequence[Output], error: KafkaError, sizes: _Sizes
    ) -> list[Refusal]:
        """Write the rows of a refused batch in halves, until each is written or alone at fault."""
        if len(rows) == 1:
            sizes.note(rows[0], error)
            return [Refusal(output=rows[0], error=error)]
        refusals: list[Refusal] = []
        half = len(rows) // 2
        for part in (rows[:half], rows[half:]):
            known, rest = sizes.split(part)
            refusals += known
            refusals += await self._write(topic, partition, rest, sizes)
        return refusals

    async def commit(self, offset: int) -> None:
        """Commit what was written together with the input's offset; also if nothing was written. Hold the lock.

        Waits as long as the broker is away. Raises TransactionLostError; then nothing of it is visible.
        """
        with self._lost():
            producer = await self._ready()
            await producer.send_offsets_to_transaction({TopicPartition(*self.partition): offset}, self._group_id)
            await producer.commit_transaction()
        self._is_open = False
        self._written.clear()

    async def close(self, *, is_superseded: bool) -> None:
        """Abort what is open, unless a newer producer of ours has done so, and disconnect. Raises nothing."""
        producer = self._producer
        if producer is not None:
            await self._close(producer, is_open=self._is_open and not is_superseded)
        await asyncio.gather(*self._closing)

    async def _close(self, producer: Any, *, is_open: bool) -> None:
        steps = [producer.abort_transaction, producer.stop] if is_open else [producer.stop]
        for step in steps:
            try:
                await asyncio.wait_for(step(), _CLOSE_SECONDS)
            except (*_BROKEN, TimeoutError) as error:
                log.debug("old producer does not end well", extra={"partition": self._name, "reason": repr(error)})

    async def _ready(self) -> Any:
        """Return the producer, in a transaction."""
        async with self._changing:
            if self._producer is None:
                raise TransactionLostError(f"the producer of {self._name} is gone")
            if not self._is_open:
                with self._lost():
                    await self._producer.begin_transaction()
                self._is_open = True
            return self._producer

    async def _start_over(self, refused: Any) -> None:
        """Abort the transaction of this producer, and write everything again in the transaction of a new one."""
        async with self._changing:
            if refused is not self._producer:
                return  # another write was refused first
            self._producer = None  # from here on no write to the old one counts
            closing = asyncio.ensure_future(self._close(refused, is_open=False))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            producer = await self._start_producer()
            try:
                await producer.begin_transaction()
                for topic, partition, rows in self._written:
                    start = 0
                    while start < len(rows):
                        batch, start = self._filler.fill(producer, rows, start)
                        try:
                            await (await producer.send_batch(batch, topic, partition=partition))
                        except REFUSALS as error:
                            raise TransactionLostError(
                                f"the transaction of {self._name} is lost: {topic} refuses what it took a moment "
                                f"ago ({error}), so its limits were lowered meanwhile; nothing of the transaction "
                                "is visible, and its records are read again, by the limits of then"
                            ) from error
            finally:
                self._producer = producer  # also if it is broken: somebody has to close it

    @property
    def _name(self) -> str:
        return "/".join(map(str, self.partition))

    @contextlib.contextmanager
    def _lost(self) -> Iterator[None]:
        try:
            yield
        except _BROKEN as error:
            raise self._loss(error) from error

    def _loss(self, error: BaseException) -> TransactionLostError:
        return TransactionLostError(
            f"the transaction of {self._name} is lost ({type(error).__name__}): another worker has the partition, "
            "or Kafka gave the transaction up; nothing of it is visible, and its records are read again"
        )


class _Sizes:
    """What is known to be too large, within one call of `write`: saves a new transaction for every such row."""

    def __init__(self) -> None:
        self._smallest: int | None = None
        self._error: KafkaError = KafkaError()

    def note(self, row: Output, error: KafkaError) -> None:
        """Remember a row that was refused alone."""
        size = _size(row)
        if isinstance(error, MessageSizeTooLargeError) and (self._smallest is None or size < self._smallest):
            self._smallest, self._error = size, error

    def split(self, rows: Sequence[Output]) -> tuple[list[Refusal], Sequence[Output]]:
        """Return the rows as large as one that was refused, and the others."""
        limit = self._smallest
        if limit is None:
            return [], rows
        known = [Refusal(output=row, error=self._error) for row in rows if _size(row) >= limit]
        return known, [row for row in rows if _size(row) < limit]


def _size(row: Output) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in row.headers)
    return len(row.key or b"") + len(row.value or b"") + headers
