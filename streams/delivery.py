"""Writes outputs to Kafka, and says when they are safe.

`Delivery` is the port. `AtLeastOnce` is here, `ExactlyOnce` in `streams.transactions`. With both, records are safe
when `send` returns: every in-sync replica has them (acks=all), in the order given for each partition, and without
repeats by the producer's own retries (it is idempotent). With at-least-once a crash between that and the commit of
the input repeats outputs, and never loses one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, TypeAlias

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)
from mode import Service

from streams.batch_writing import write_batch
from streams.client_watch import watch_client
from streams.offsets import Partition
from streams.output_columns import OutputSlice
from streams.records import Output
from streams.routing import by_key, by_source

Compression: TypeAlias = Literal["gzip", "snappy", "lz4", "zstd"]
DeliveryMode: TypeAlias = Literal["at-least-once", "exactly-once"]

#: What a broker says of a record that it will never take, however often it is sent.
REFUSALS: Final = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidTimestampError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An output that the broker will never take, and the error it gave."""

    output: Output
    error: KafkaError


class Delivery(Protocol):
    """How the outputs of slices reach Kafka.

    For every group of slices: `begin` with the partitions they come from, `send` as often as needed, then the
    slices are acknowledged, then `end`; or `spoil` if anything went wrong on the way. Between `begin` and `end`
    nobody else sends for one of these partitions, so a transactional implementation can hold exactly the outputs
    of the offsets that it commits.
    """

    async def assigned(self, partitions: frozenset[Partition]) -> None:
        """Prepare for these partitions, all that are ours now, before their committed offsets are read."""

    async def begin(self, sources: frozenset[Partition]) -> None:
        """Start to deliver what comes from these partitions."""

    async def send(self, topic: str, outputs: Sequence[Output]) -> Sequence[Refusal]:
        """Write the outputs, in order, and wait until they are safe; return those the broker will never take.

        Waits as long as the broker is away. Raises KafkaError if the producer is broken: then it is not known what
        was written, and the process must end without acknowledging.
        """

    async def end(self, sources: frozenset[Partition]) -> None:
        """Note that the slices were acknowledged, or that nothing was sent."""

    def spoil(self, sources: frozenset[Partition]) -> None:
        """Note, instead of `end`, that not everything was sent or acknowledged: the process ends.

        What was sent since `begin` must not become visible with a later commit, if that is in our power.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducerOptions:
    """How the producer talks to Kafka.

    Attributes:
        bootstrap: host:port, separated by commas.
        input_topic: its partition count decides whether outputs keep the partition of their input.
        output_topics: those that are written to.
        client_id: what the broker's logs call us.
        max_batch_bytes: most bytes of one batch; at most the smallest `max.message.bytes` of the output topics. A
            single larger record gets a batch of its own, and the broker decides.
        compression: of the batches; lz4 and zstd need their library.
        request_timeout_seconds: for one answer of the broker; requests are repeated until they succeed.
    """

    bootstrap: str
    input_topic: str
    output_topics: tuple[str, ...] = ()
    client_id: str = "sortline"
    max_batch_bytes: int = 900_000
    compression: Compression | None = None
    request_timeout_seconds: float = 30.0


def new_producer(options: ProducerOptions, **more: Any) -> AIOKafkaProducer:
    """Return an idempotent producer, not started; `more` goes to its constructor."""
    return AIOKafkaProducer(
        bootstrap_servers=options.bootstrap,
        client_id=options.client_id,
        acks="all",
        enable_idempotence=True,
        compression_type=options.compression,
        linger_ms=0,
        max_batch_size=options.max_batch_bytes,
        request_timeout_ms=int(options.request_timeout_seconds * 1000),
        **more,
    )


async def learn_topics(producer: Any, options: ProducerOptions) -> None:
    """Let a started producer learn all topics, before anybody sends with it.

    aiokafka leaves whoever waits for a topic's partitions waiting for ever when the producer is stopped, and a
    producer is stopped while others send with it when one of its records was refused.
    """
    topics = (options.input_topic, *options.output_topics)
    await asyncio.gather(*(producer.partitions_for(topic) for topic in topics))


class BatchFiller:
    """Fills batches for one kind of producers, and knows what CPU time that took."""

    def __init__(self, options: ProducerOptions, *, is_transactional: bool) -> None:
        self._options = options
        self._is_transactional = is_transactional
        self.cpu_seconds = 0.0

    def fill(self, producer: Any, rows: Sequence[Output], start: int) -> tuple[Any, int]:
        """Return a closed batch of as many rows from `start` on as it takes, and where the next one starts."""
        started = time.thread_time()
        filled = self._by_column(rows, start) if isinstance(rows, OutputSlice) else _by_row(producer, rows, start)
        self.cpu_seconds += time.thread_time() - started
        return filled

    def _by_column(self, rows: OutputSlice, start: int) -> tuple[Any, int]:
        return write_batch(
            rows.arrays,
            start,
            most_bytes=self._options.max_batch_bytes,
            compression=self._options.compression,
            is_transactional=self._is_transactional,
        )


def _by_row(producer: Any, rows: Sequence[Output], start: int) -> tuple[Any, int]:
    batch = producer.create_batch()
    add, end = batch.append, start
    for row in rows if start == 0 else rows[start:]:
        if add(timestamp=row.timestamp_ms, key=row.key, value=row.value, headers=row.headers) is None:
            break
        end += 1
    batch.close()
    return batch, end


class AtLeastOnce(Service):
    """One idempotent producer for all partitions; a service, so that it starts before the app and stops after it.

    An output goes to the partition number of its input if both topics have equally many partitions: then the order
    of a key's events holds whatever hash the producers used. Otherwise the key decides, by the hash of Java's
    clients.
    """

    mundane_level = "debug"  # that a service starts is no news

    def __init__(self, options: ProducerOptions, **kwargs: Any) -> None:
        self._options = options
        self.filler = BatchFiller(options, is_transactional=False)
        self._producer: Any = None  # an AIOKafkaProducer, which has no types, while started
        self._replacing = asyncio.Lock()
        self._retired: set[asyncio.Task[None]] = set()
        super().__init__(**kwargs)

    async def on_start(self) -> None:
        """Connect."""
        self._producer = await self._ready_producer()

    async def on_stop(self) -> None:
        """Finish what was given to `send`, and disconnect."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()
        await asyncio.gather(*self._retired)

    async def assigned(self, partitions: frozenset[Partition]) -> None:
        """Do nothing: one producer serves every partition."""

    async def begin(self, sources: frozenset[Partition]) -> None:
        """Do nothing: there is no transaction to begin."""

    async def end(self, sources: frozenset[Partition]) -> None:
        """Do nothing: there is no transaction to hold."""

    def spoil(self, sources: frozenset[Partition]) -> None:
        """Do nothing: what was sent is visible, and will be repeated."""

    async def send(self, topic: str, outputs: Sequence[Output]) -> Sequence[Refusal]:
        """Write the outputs; see Delivery."""
        if not outputs:
            return ()
        by_partition = await self._by_partition(topic, outputs)
        refusals = await asyncio.gather(
            *(self._send_parts(topic, partition, parts) for partition, parts in by_partition.items())
        )
        return [one for part in refusals for one in part]

    async def _by_partition(
        self, topic: str, outputs: Sequence[Output]
    ) -> Mapping[int, Sequence[Sequence[Output]]]:
        """Return by partition what goes there, in parts that are to be sent one after the other."""
        producer = self._running()
        n_partitions = len(await producer.partitions_for(topic))
        if n_partitions == len(await producer.partitions_for(self._options.input_topic)):
            return {number: parts for (_, number), parts in by_source(outputs).items()}
        return {number: [rows] for number, rows in by_key(outputs, n_partitions).items()}

    async def _send_parts(self, topic: str, partition: int, parts: Sequence[Sequence[Output]]) -> list[Refusal]:
        refusals: list[Refusal] = []
        for rows in parts:
            refusals += await self._send_in_order(topic, partition, rows)
        return refusals

    async def _send_in_order(self, topic: str, partition: int, rows: Sequence[Output]) -> list[Refusal]:
        """Send batch after batch: the next one only leaves when the one before is safe, so order always holds."""
        refusals: list[Refusal] = []
        start = 0
        while start < len(rows):
            producer = self._running()
            batch, end = self.filler.fill(producer, rows, start)
            try:
                await (await producer.send_batch(batch, topic, partition=partition))
            except REFUSALS as error:
                refusals += await self._without_refused(topic, partition, rows[start:end], error, producer)
            start = end
        return refusals

    async def _without_refused(
        self, topic: str, partition: int, rows: Sequence[Output], error: KafkaError, producer: AIOKafkaProducer
    ) -> list[Refusal]:
        """Send the rows of a refused batch in halves, until each is written or alone at fault."""
        # The refused batch used up sequence numbers that the broker never saw: it would refuse everything that the
        # same producer sends to this partition afterwards.
        await self._replace(producer)
        if len(rows) == 1:
            return [Refusal(output=rows[0], error=error)]
        half = len(rows) // 2
        return [
            *await self._send_in_order(topic, partition, rows[:half]),
            *await self._send_in_order(topic, partition, rows[half:]),
        ]

    async def _replace(self, broken: AIOKafkaProducer) -> None:
        async with self._replacing:
            if broken is not self._producer:
                return  # another partition's refusal was first
            self._producer = await self._ready_producer()
            # Others may still wait for batches that the old one holds; stopping it delivers them first.
            stopping = asyncio.ensure_future(broken.stop())
            self._retired.add(stopping)
            stopping.add_done_callback(self._retired.discard)

    async def _ready_producer(self) -> AIOKafkaProducer:
        producer = await self._new_producer()
        await learn_topics(producer, self._options)
        return producer

    async def _new_producer(self) -> AIOKafkaProducer:
        producer = new_producer(self._options)
        await producer.start()
        watch_client(producer.client, "the producer", lambda error: asyncio.ensure_future(self.crash(error)))
        return producer

    def _running(self) -> Any:
        if self._producer is None:
            raise RuntimeError("the delivery is not started")
        return self._producer
