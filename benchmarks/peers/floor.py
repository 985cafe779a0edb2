"""The floor: consume and produce on librdkafka, the same bytes, as many headers as the worker's, no work."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from confluent_kafka import Consumer, Message, Producer

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.peers.task import StopSignal, Task

#: All but ce_id, which tells the events apart; made once.
_HEADERS: list[tuple[str, str | bytes]] = [
    ("ce_specversion", b"1.0"),
    ("ce_source", b"/sortline/floor"),
    ("ce_type", b"io.sortline.product.categorized.v1"),
    ("ce_time", b"2026-01-01T00:00:00.000Z"),
    ("content-type", b"application/avro"),
    ("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
]


def run(task: Task) -> None:
    """Pass events on until told to stop."""
    told_to_stop = StopSignal()
    consumer = open_consumer(task)
    producer = open_producer(task)
    commit_at = time.monotonic() + task.commit_seconds
    is_dirty = False
    while not told_to_stop:
        for record in fetch(consumer, task):
            headers = [("ce_id", f"{record.topic()}/{record.partition()}/{record.offset()}".encode()), *_HEADERS]
            send(producer, task.categorized, record.key(), record.value(), headers)
            is_dirty = True
        producer.poll(0)
        if is_dirty and time.monotonic() >= commit_at:
            producer.flush()
            consumer.commit()
            commit_at = time.monotonic() + task.commit_seconds
            is_dirty = False
    producer.flush()
    consumer.close()


def open_consumer(task: Task) -> Consumer:
    """Return a consumer that has subscribed to the task's events."""
    consumer = Consumer(
        {
            "bootstrap.servers": task.bootstrap,
            "group.id": task.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    consumer.subscribe([task.topic])
    return consumer


def open_producer(task: Task) -> Producer:
    """Return a producer whose sends are acknowledged by all replicas, each once."""
    return Producer(
        {
            "bootstrap.servers": task.bootstrap,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 1 if task.is_live else 5,
        }
    )


def fetch(consumer: Consumer, task: Task, most: int = 2_000) -> list[Message]:
    """Return what is there; of live events the first and those that stand behind it, without waiting for more."""
    if not task.is_live:
        records = consumer.consume(most, 0.1)
    else:
        first = consumer.poll(0.1)
        records = [] if first is None else [first, *consumer.consume(most, 0)]
    for record in records:
        if (error := record.error()) is not None:
            raise SystemExit(f"reading failed: {error}")
    return records


def send(
    producer: Producer,
    topic: str,
    key: bytes | str | None,
    value: bytes | str | None,
    headers: list[tuple[str, str | bytes]],
) -> None:
    """Hand a record over; waits while the producer's queue is full."""
    while True:
        try:
            producer.produce(topic, value, key, headers=headers)
        except BufferError:
            producer.poll(0.01)
        else:
            return


if __name__ == "__main__":
    run(Task.read(sys.argv[1]))
