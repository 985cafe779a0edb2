"""Latency of a way at a steady rate: stamped when produced, stopped when a subscriber has the result.

The load is open: events are sent when they are due, whatever has become of those before. The stamp of an event is
the wall clock in nanoseconds just before it is handed to the producer, and stays with the producer's process; key
and product_id are the event's number, by which the subscriber's times are matched with it. The subscriber is a
process of its own and reads committed records only. Events of the first seconds are sent and left out.
"""

from __future__ import annotations

import multiprocessing
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final

import numpy as np
import numpy.typing as npt
from confluent_kafka import Producer

from benchmarks.harness.figures import percentiles
from benchmarks.harness.offsets import Ends, Offsets
from benchmarks.harness.product_events import event_headers, number_of
from benchmarks.harness.ways import Surroundings, Way, running
from schemas.topics import TopicNames

_SPAWN: Final = multiprocessing.get_context("spawn")
_READY_SECONDS: Final = 120.0
#: Without it every event is a request of its own, and at high rates the broker's limit is measured, not the way's.
_LINGER_MS: Final = 1
#: Events that are due within it are sent together: to wake up for each would take the CPU that the way needs.
_TICK_NS: Final = 1_000_000
#: Results that come later than this after the last event are not waited for.
_LATEST_SECONDS: Final = 60.0
#: A way keeps up if its last result comes so soon after the last event was sent.
_KEEPS_UP_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyRun:
    """One way at one rate.

    Attributes:
        rate: events a second that were asked for; `sent_rate`: that were sent, warm-up included.
        events: those measured.
        missing: measured events whose result had not come a minute after the last event.
        late_ms: how late the producer itself was, p99: not in the latency, since the stamp is when it was sent.
        milliseconds: p50, p99, p99.9 and max.
        kept_up: the last result came within two seconds of the last event, and none is missing.
    """

    way: str
    rate: float
    sent_rate: float
    events: int
    missing: int
    late_ms: float
    milliseconds: dict[str, float]
    kept_up: bool


def measure_latency(
    one: Way,
    surroundings: Surroundings,
    *,
    names: TopicNames,
    keys: Sequence[bytes],
    values: Sequence[bytes],
    rate: float,
    warm_up_seconds: float,
) -> LatencyRun:
    """Send the events at this rate into the topic, which must be empty, and return the latencies.

    Raises SystemExit if the way ends by itself.
    """
    offsets = Offsets(surroundings.bootstrap)
    starts = offsets.ends([names.categorized, names.review])
    group = f"latency-{one.name}-{uuid.uuid4().hex[:6]}"
    here, there = _SPAWN.Pipe()
    reader = _SPAWN.Process(target=_read, args=(there, surroundings.bootstrap, starts, len(keys)), daemon=True)
    with running(one, surroundings, names=names, group=group, is_live=True) as process:
        reader.start()
        there.close()  # so that its end is noticed here
        try:
            here.recv()  # it stands at the end of the outputs
            # One event alone: when its result is there, the way has its partitions and its code is loaded.
            _send(surroundings.bootstrap, names.created, keys[:1], values[:1], 1.0)
            deadline = time.monotonic() + _READY_SECONDS
            while not here.poll(0.1):
                process.check()
                if time.monotonic() > deadline:
                    raise SystemExit(f"{one.name} gave no result within {_READY_SECONDS:.0f} s")
            here.recv()
            due, sent = _send(surroundings.bootstrap, names.created, keys[1:], values[1:], rate)
            here.send(time.time_ns())
            received: npt.NDArray[np.int64] = here.recv()
        finally:
            reader.kill()
            reader.join()
    return latency_run(
        one.name, rate=rate, due=due, sent=sent, received=received[1:], skipped=int(rate * warm_up_seconds)
    )


def latency_run(
    name: str,
    *,
    rate: float,
    due: npt.NDArray[np.int64],
    sent: npt.NDArray[np.int64],
    received: npt.NDArray[np.int64],
    skipped: int,
) -> LatencyRun:
    """Return the figures of a run: nanoseconds when each event was due, sent, and its result there (0: never).

    The first `skipped` events are the warm-up. Raises SystemExit if no other event has a result.
    """
    there = received[skipped:] > 0
    if not there.any():
        raise SystemExit(f"{name}: no event after the warm-up has a result")
    latencies = (received[skipped:] - sent[skipped:])[there] / 1e6
    missing = int((~there).sum())
    tail_seconds = float(received.max() - sent[-1]) / 1e9
    return LatencyRun(
        way=name,
        rate=rate,
        sent_rate=(len(sent) - 1) / (float(sent[-1] - sent[0]) / 1e9),
        events=int(there.sum()) + missing,
        missing=missing,
        late_ms=float(np.percentile((sent - due)[skipped:] / 1e6, 99)),
        milliseconds=percentiles(latencies),
        kept_up=not missing and tail_seconds <= _KEEPS_UP_SECONDS,
    )


def _send(
    bootstrap: str, topic: str, keys: Sequence[bytes], values: Sequence[bytes], rate: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Send at this rate; return when each was due and when it was sent, nanoseconds of the wall clock."""
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": _LINGER_MS, "acks": "all"})
    producer.list_topics(topic)  # connected before the first event is due
    due = time.time_ns() + 1_000_000 + (np.arange(len(keys)) * (1e9 / rate)).astype(np.int64)
    sent = np.zeros(len(keys), np.int64)
    headers = event_headers("bench")
    for i, at in enumerate(due.tolist()):
        while (wait := at - time.time_ns()) > 0:
            producer.poll(0)
            time.sleep(max(wait, _TICK_NS) / 1e9)
        sent[i] = time.time_ns()
        while True:
            try:
                producer.produce(topic, values[i], keys[i], headers=headers)
                break
            except BufferError:  # the stamp stays: what waits here is late
                producer.poll(0.01)
    producer.flush()
    return due, sent


def _read(pipe: Connection, bootstrap: str, starts: Ends, n_events: int) -> None:
    """Be the subscriber: tell when ready, when the first result is there, and the times of all at the end."""
    consumer = Offsets(bootstrap).consumer(starts, **{"fetch.wait.max.ms": 100})
    consumer.poll(0.5)  # connected, and standing at the end
    received = np.zeros(n_events, np.int64)
    pipe.send(None)
    n_received, ended_at = 0, 0
    while n_received < n_events:
        record = consumer.poll(0.1)
        if record is None or record.error() is not None:
            if not ended_at and pipe.poll():
                ended_at = int(pipe.recv())
            if ended_at and time.time_ns() - ended_at > _LATEST_SECONDS * 1e9:
                break
            continue
        now = time.time_ns()
        key = record.key()
        number = number_of(key) if isinstance(key, bytes) else 0
        if not received[number]:
            received[number] = now
            n_received += 1
            if n_received == 1:
                pipe.send(None)
    pipe.send(received)
