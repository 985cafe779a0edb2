"""The job in stock Faust: an agent that takes batches from its stream and sends through its topics."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any

import faust

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.peers.plain_job import Event, PlainJob
from benchmarks.peers.task import Task


def build_app(task: Task) -> faust.App:
    """Return the app, not started."""
    app = faust.App(
        task.group,
        broker=f"kafka://{task.bootstrap}",
        key_serializer="raw",
        value_serializer="raw",
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=task.commit_seconds,
        producer_acks=-1,
        producer_linger_ms=1 if task.is_live else 5,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        datadir=tempfile.mkdtemp(prefix="sortline-bench-faust-"),
    )
    job = PlainJob(task)
    outputs = {name: app.topic(name) for name in (task.categorized, task.review)}

    @app.agent(app.topic(task.topic))
    async def classify(stream: Any) -> None:
        async for taken in stream.take_events(task.batch, within=0.01 if task.is_live else 0.1):
            outcomes = job.run([_event(one.message) for one in taken])
            sent = [
                await outputs[one.topic].send(key=one.key, value=one.value, headers=one.headers)
                for one in outcomes
            ]
            await asyncio.gather(*sent)

    return app


def _event(message: Any) -> Event:
    return Event(
        message.topic, message.partition, message.offset, message.key, message.value, list(_pairs(message.headers))
    )


def _pairs(headers: Any) -> Any:
    return headers.items() if isinstance(headers, dict) else headers or ()


if __name__ == "__main__":
    faust.Worker(build_app(Task.read(sys.argv[1])), loglevel="WARN").execute_from_commandline()
