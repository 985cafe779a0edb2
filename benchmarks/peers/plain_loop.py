"""The job in a loop on confluent-kafka: consume a batch, decide, produce, commit what was delivered."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from confluent_kafka import Message

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.peers.floor import fetch, open_consumer, open_producer, send
from benchmarks.peers.plain_job import Event, PlainJob
from benchmarks.peers.task import StopSignal, Task


def run(task: Task) -> None:
    """Decide on events until told to stop."""
    told_to_stop = StopSignal()
    job = PlainJob(task)
    consumer = open_consumer(task)
    producer = open_producer(task)
    commit_at = time.monotonic() + task.commit_seconds
    is_dirty = False
    while not told_to_stop:
        records = fetch(consumer, task, most=task.batch)
        for outcome in job.run([_event(record) for record in records]) if records else ():
            send(producer, outcome.topic, outcome.key, outcome.value, [*outcome.headers])
            is_dirty = True
        producer.poll(0)
        if is_dirty and time.monotonic() >= commit_at:
            producer.flush()
            consumer.commit()
            commit_at = time.monotonic() + task.commit_seconds
            is_dirty = False
    producer.flush()
    consumer.close()


def _event(record: Message) -> Event:
    key, value, headers = record.key(), record.value(), record.headers()
    assert isinstance(key, bytes)  # consumers give bytes; the stubs allow what producers may give
    assert isinstance(value, bytes)
    return Event(
        str(record.topic()),
        int(record.partition() or 0),
        int(record.offset() or 0),
        key,
        value,
        headers or (),
    )


if __name__ == "__main__":
    run(Task.read(sys.argv[1]))
