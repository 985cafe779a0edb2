"""The job in Quix Streams, in two ways.

`apply` is what its guides show: a function of one event, so the model is asked for one event at a time. `sink`
gathers events in a sink between two checkpoints and asks for batches: more to write, and kinder to LightGBM.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Quix Streams pins an older confluent-kafka than ours: it is installed in an environment of its own, not in ours.
from quixstreams import Application, message_context  # type: ignore[import-not-found]  # as above
from quixstreams.models import Serializer  # type: ignore[import-not-found]  # as above
from quixstreams.sinks import BatchingSink, SinkBatch  # type: ignore[import-not-found]  # as above

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.peers.floor import open_producer, send
from benchmarks.peers.plain_job import Event, Outcome, PlainJob
from benchmarks.peers.task import Task


class ValueOfOutcome(Serializer):  # type: ignore[misc]  # of a library that is not here
    """An outcome's value is encoded already."""

    def __call__(self, value: Outcome, ctx: object) -> bytes:
        """Return it."""
        return value.value


class DecidingSink(BatchingSink):  # type: ignore[misc]  # of a library that is not here
    """Decides on what came since the last checkpoint, and waits until it was delivered."""

    def __init__(self, task: Task, job: PlainJob) -> None:
        super().__init__()
        self._task = task
        self._job = job
        self._producer = open_producer(task)

    def write(self, batch: SinkBatch) -> None:
        """Decide and send; Quix Streams commits after it."""
        for items in batch.iter_chunks(self._task.batch):
            events = [
                Event(batch.topic, batch.partition, item.offset, item.key, item.value, _pairs(item.headers))
                for item in items
            ]
            for outcome in self._job.run(events):
                send(self._producer, outcome.topic, outcome.key, outcome.value, [*outcome.headers])
        self._producer.flush()


def run(task: Task) -> None:
    """Decide on events until told to stop."""
    app = Application(
        task.bootstrap,
        consumer_group=task.group,
        auto_offset_reset="earliest",
        commit_interval=task.commit_seconds,
        consumer_poll_timeout=0.1,
        producer_extra_config={"acks": "all", "enable.idempotence": True, "linger.ms": 1 if task.is_live else 5},
        state_dir=tempfile.mkdtemp(prefix="sortline-bench-quix-"),
        auto_create_topics=False,
        loglevel="WARNING",
    )
    job = PlainJob(task)
    events = app.dataframe(app.topic(task.topic, key_deserializer="bytes", value_deserializer="bytes"))
    if task.variant == "sink":
        events.sink(DecidingSink(task, job))
    else:
        outputs = {
            name: app.topic(name, key_serializer="bytes", value_serializer=ValueOfOutcome())
            for name in (task.categorized, task.review)
        }

        def classify(value: bytes, key: bytes, _timestamp: int, headers: Any) -> Outcome:
            at = message_context()
            event = Event(at.topic, at.partition, at.offset, key, value, _pairs(headers))
            return job.run([event])[0]

        decided = events.apply(classify, metadata=True)
        decided = decided.set_headers(lambda outcome, *_: outcome.headers)
        decided.to_topic(lambda outcome, *_: outputs[outcome.topic])
    app.run()


def _pairs(headers: Any) -> Sequence[tuple[str, bytes]]:
    return list(headers.items() if isinstance(headers, dict) else headers or ())


if __name__ == "__main__":
    run(Task.read(sys.argv[1]))
