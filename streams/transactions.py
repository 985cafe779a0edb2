"""Exactly once: the outputs of a partition and the offset they come from are committed in one transaction.

One transactional producer for each input partition, `transactional.id` `<group>-<topic>-<partition>`. The rules,
each of which "nothing twice, nothing lost" needs:

- When partitions are assigned, their producers are started *before* their committed offsets are read. That fences
  the partition's previous owner and aborts what it left open, so the offset read afterwards cannot move any more.
- A transaction holds exactly the outputs (categorized, review and dead letters) of the offsets that it commits:
  one lock for each partition, from the first write for a slice to its acknowledgement, and around the commit.
- What was sent for a slice that was not acknowledged is never committed.
- An owner that was fenced, or cannot commit, ends its process (TransactionLostError). What it wrote is invisible
  to `read_committed` readers, and the next owner does it again.

aiokafka cannot pass on the group's generation with the offsets. It is not needed: the fencing is by partition.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from aiokafka.errors import KafkaConnectionError, TransactionalIdAuthorizationFailed
from mode import Service

from schemas.errors import SetupError, TransactionLostError
from streams.client_watch import watch_client
from streams.delivery import BatchFiller, ProducerOptions, Refusal, learn_topics, new_producer
from streams.offsets import Partition
from streams.partition_transaction import PartitionTransaction
from streams.records import Output
from streams.routing import by_key, by_source

log = logging.getLogger(__name__)

_CONNECT_AGAIN_SECONDS: Final = 1.0
_RETRY_BACKOFF_MS: Final = 50  # after a commit the next transaction may have to wait once for its markers


class ExactlyOnce(Service):
    """The transactions of all partitions that are ours; a service, so that it outlives the consumer.

    Args:
        options: of every producer.
        group_id: whose offsets are committed; also in the transactional ids.
        transaction_timeout_seconds: when Kafka gives up a transaction that is not committed. A worker that
            takes a partition over does not wait for it.
    """

    mundane_level = "debug"  # that a service starts is no news

    def __init__(
        self, options: ProducerOptions, *, group_id: str, transaction_timeout_seconds: float, **kwargs: Any
    ) -> None:
        self._options = options
        self.filler = BatchFiller(options, is_transactional=True)
        self._group_id = group_id
        self._timeout_ms = int(transaction_timeout_seconds * 1000)
        self._transactions: dict[Partition, PartitionTransaction] = {}
        self._begun: dict[Partition, PartitionTransaction] = {}
        self._retired: set[asyncio.Task[None]] = set()
        super().__init__(**kwargs)

    async def on_stop(self) -> None:
        """Abort what is not committed, and disconnect."""
        old, self._transactions = self._transactions, {}
        for one in old.values():
            self._retire(one, is_superseded=False)
        await asyncio.gather(*self._retired)

    async def assigned(self, partitions: frozenset[Partition]) -> None:
        """Fence the previous owners, also ourselves of the generation before; see Delivery.

        Waits as long as the broker is away. Raises SetupError if Kafka forbids the transactional ids.
        """
        old, self._transactions = self._transactions, {}
        for partition, one in old.items():
            self._retire(one, is_superseded=partition in partitions)
        new = {one: self._new_transaction(one) for one in partitions if one[0] == self._options.input_topic}
        try:
            await asyncio.gather(*(one.start() for one in new.values()))
        except BaseException:
            for one in new.values():
                self._retire(one, is_superseded=True)
            raise
        self._transactions = new

    async def begin(self, sources: frozenset[Partition]) -> None:
        """Keep commits of these partitions out until `end`; see Delivery."""
        try:
            for source in sorted(sources):
                while (transaction := self._transactions.get(source)) is not None:
                    await transaction.lock.acquire()
                    if self._transactions.get(source) is transaction:
                        self._begun[source] = transaction
                        break
                    transaction.lock.release()  # we have the partition anew
        except BaseException:
            self._release(sources)
            raise

    async def end(self, sources: frozenset[Partition]) -> None:
        """Let commits in; see Delivery."""
        self._release(sources)

    def spoil(self, sources: frozenset[Partition]) -> None:
        """Let no commit of these transactions happen; see Delivery."""
        for source in sources:
            if source in self._begun:
                self._begun[source].is_spoiled = True
        self._release(sources)

    def _release(self, sources: frozenset[Partition]) -> None:
        for source in sources:
            transaction = self._begun.pop(source, None)
            if transaction is not None:
                transaction.lock.release()

    async def send(self, topic: str, outputs: Sequence[Output]) -> Sequence[Refusal]:
        """Write the outputs, each in the transaction of its input's partition; see Delivery.

        Raises TransactionLostError if a transaction cannot be committed any more.
        """
        refusals = await asyncio.gather(
            *(self._send(topic, one, parts) for one, parts in by_source(outputs).items())
        )
        return [one for part in refusals for one in part]

    async def _send(self, topic: str, source: Partition, parts: Sequence[Sequence[Output]]) -> Sequence[Refusal]:
        transaction = self._begun[source]
        try:
            return [one for rows in parts for one in await self._send_in(transaction, topic, rows)]
        except TransactionLostError:
            if transaction is self._transactions.get(source):
                raise
            # We were given the partition anew and have fenced ourselves: what is sent here was aborted, and the
            # acknowledgement that follows counts for nothing.
            return ()

    async def _send_in(
        self, transaction: PartitionTransaction, topic: str, rows: Sequence[Output]
    ) -> Sequence[Refusal]:
        n_partitions = await transaction.partitions_for(topic)
        if n_partitions == await transaction.partitions_for(self._options.input_topic):
            return await transaction.write(topic, transaction.partition[1], rows)
        by_partition = by_key(rows, n_partitions)
        refusals = await asyncio.gather(*(transaction.write(topic, *item) for item in by_partition.items()))
        return [one for part in refusals for one in part]

    async def commit(
        self, partitions: frozenset[Partition], offset_of: Callable[[Partition], int | None]
    ) -> Mapping[Partition, int]:
        """Commit each partition's outputs and offset; return the offsets committed.

        `offset_of` is asked while the partition's transaction holds the outputs of all that was acknowledged and
        nothing else. It returns None if there is nothing to commit.

        Waits as long as the broker is away. Raises TransactionLostError if a transaction was lost.
        """
        # A commit that has begun goes on to its end, also if Faust cancels the task that waits for it.
        tasks = [asyncio.ensure_future(self._commit(one, offset_of)) for one in partitions]
        results = await asyncio.shield(asyncio.gather(*tasks, return_exceptions=True))
        committed: dict[Partition, int] = {}
        for result in results:
            if isinstance(result, BaseException):
                raise result
            partition, offset = result
            if offset is not None:
                committed[partition] = offset
        return committed

    async def _commit(
        self, partition: Partition, offset_of: Callable[[Partition], int | None]
    ) -> tuple[Partition, int | None]:
        transaction = self._transactions.get(partition)
        if transaction is None:
            return partition, None
        async with transaction.lock:
            if transaction.is_spoiled or self._transactions.get(partition) is not transaction:
                return partition, None
            offset = offset_of(partition)
            if offset is None:
                return partition, None
            try:
                await transaction.commit(offset)
            except TransactionLostError:
                if self._transactions.get(partition) is not transaction:
                    return partition, None  # fenced by ourselves, as above
                transaction.is_spoiled = True  # said once
                raise
            return partition, offset

    def _new_transaction(self, partition: Partition) -> PartitionTransaction:
        topic, number = partition
        return PartitionTransaction(
            partition,
            filler=self.filler,
            group_id=self._group_id,
            start_producer=partial(self._start_producer, f"{self._group_id}-{topic}-{number}"),
        )

    def _retire(self, transaction: PartitionTransaction, *, is_superseded: bool) -> None:
        closing = asyncio.ensure_future(transaction.close(is_superseded=is_superseded))
        self._retired.add(closing)
        closing.add_done_callback(self._retired.discard)

    async def _start_producer(self, transactional_id: str) -> Any:
        """Return a started producer: all others of that id are fenced, and what they left open is aborted."""
        while True:
            producer = new_producer(
                self._options,
                transactional_id=transactional_id,
                transaction_timeout_ms=self._timeout_ms,
                retry_backoff_ms=_RETRY_BACKOFF_MS,
            )
            try:
                await producer.start()
                await learn_topics(producer, self._options)
            except BaseException as error:
                await producer.stop()
                if isinstance(error, TransactionalIdAuthorizationFailed):
                    raise SetupError(
                        f"Kafka forbids the transactional id {transactional_id}: allow Write and Describe on ids "
                        f"that begin with {self._group_id}-, or choose at-least-once with the setting delivery"
                    ) from error
                if not isinstance(error, KafkaConnectionError):
                    raise
                log.warning("waiting for dependency", extra={"dependency": "kafka", "reason": str(error)})
                await asyncio.sleep(_CONNECT_AGAIN_SECONDS)
            else:
                watch_client(
                    producer.client,
                    f"producer {transactional_id}",
                    lambda error: asyncio.ensure_future(self.crash(error)),
                )
                return producer
