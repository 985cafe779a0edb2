"""What is at an offset that no consumer hands out: the mark of a transaction, or nothing any more.

Clients of Kafka hide both; only the batches of the log tell them apart.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Literal, TypeAlias

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

OffsetKind: TypeAlias = Literal["record", "control", "gap"]

#: The broker sends whole batches: the first one, however large it is.
_FETCH_BYTES: Final = 1 << 16
_WAIT_MS: Final = 100
_ANSWER_SECONDS: Final = 10.0
_NO_ERROR: Final = 0


def kind_of_offset(bootstrap: str, topic: str, partition: int, offset: int) -> OffsetKind | None:
    """Return whether a record is at the offset, the mark that ends a transaction, or nothing: compaction took it.

    Blocks, and runs an event loop of its own. None if the broker does not tell within ten seconds.
    """
    try:
        return asyncio.run(asyncio.wait_for(_ask(bootstrap, topic, partition, offset), _ANSWER_SECONDS))
    except (KafkaError, OSError, TimeoutError):
        return None


async def _ask(bootstrap: str, topic: str, partition: int, offset: int) -> OffsetKind | None:
    client: Any = AIOKafkaClient(bootstrap_servers=bootstrap, client_id="sortline-offsets")
    await client.bootstrap()
    try:
        await client.set_topics([topic])
        leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
        request = FetchRequest(_WAIT_MS, 1, _FETCH_BYTES, 0, [(topic, [(partition, offset, _FETCH_BYTES)])])
        answer = await client.send(leader, request)
        ((_, ((_, error, *_, records),)),) = answer.topics
        return None if error != _NO_ERROR else _kind(MemoryRecords(bytes(records or b"")), offset)
    finally:
        await client.close()


def _kind(records: MemoryRecords, offset: int) -> OffsetKind | None:
    while records.has_next():
        batch = records.next_batch()
        if batch.base_offset > offset:
            return "gap"
        if batch.next_offset > offset:
            if batch.is_control_batch:
                return "control"
            return "record" if any(record.offset == offset for record in batch) else "gap"
    return None
