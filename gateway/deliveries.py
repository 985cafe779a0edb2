"""Hands records to Kafka from an event loop, and tells of each where it is, or why it is nowhere."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Literal, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from schemas.product_records import PRODUCER_SETTINGS, OutgoingRecord

#: How often a full queue is tried again. It empties by itself, and says nothing when it does.
_RETRY_SECONDS: Final = 0.01
_POLL_SECONDS: Final = 0.1


class Place(NamedTuple):
    """Where a record is, confirmed by all in-sync replicas."""

    topic: str
    partition: int
    offset: int


class Undelivered(NamedTuple):
    """Why a record was not confirmed, and what may have become of it.

    Attributes:
        fate: `unsent`, it will never be there; `unknown`, its confirmation may be what was lost; `too-large`,
            Kafka takes it neither now nor later.
    """

    reason: str
    fate: Literal["unsent", "unknown", "too-large"]


class Deliveries:
    """A producer, the thread that polls it, and those who wait for its reports. Belongs to one event loop.

    A record handed over ends in exactly one outcome: after at most `wait_seconds` for room in the queue, the
    producer's `message.timeout.ms`, and the second between librdkafka's looks at it. A producer that is broken for
    good (an idempotent one that lost its place) is replaced by the next call.
    """

    def __init__(self, open_producer: Callable[[], Producer], *, wait_seconds: float) -> None:
        self._open_producer = open_producer
        self._wait_seconds = wait_seconds
        self._session: _Session | None = None

    @property
    def producer(self) -> Producer:
        """The producer in use; opened if there is none."""
        return self._usable_session().producer

    async def deliver(self, topic: str, records: Sequence[OutgoingRecord]) -> list[Place | Undelivered]:
        """Publish records in order, and return the outcome of each once all are known.

        Waits while the producer's queue is full. If the caller is cancelled meanwhile, what was handed over is
        delivered all the same.
        """
        if not records:
            return []
        loop = asyncio.get_running_loop()
        waiting = _Waiting(len(records), loop)
        session = self._usable_session()
        deadline = loop.time() + self._wait_seconds
        for at, record in enumerate(records):
            headers: Any = record.headers  # null values are fine, though not in the types
            while True:
                try:
                    session.producer.produce(
                        topic, record.value, record.key, headers=headers, on_delivery=partial(waiting.report, at)
                    )
                except BufferError:
                    if loop.time() >= deadline:
                        waiting.settle(at, Undelivered("too many products wait for Kafka", "unsent"))
                        break
                    await asyncio.sleep(_RETRY_SECONDS)
                except KafkaException as error:
                    waiting.refuse(at, _cause(error), "unsent")
                    break
                else:
                    break
        outcomes = await waiting.outcomes
        if waiting.is_producer_broken:
            session.is_broken = True
        return outcomes

    async def close(self) -> None:
        """Wait until each record handed over is delivered or has failed, and end the thread."""
        if self._session is not None:
            await asyncio.to_thread(self._session.close)
            self._session = None

    def _usable_session(self) -> _Session:
        if self._session is not None and self._session.is_broken:
            self._session.abandon()
            self._session = None
        if self._session is None:
            self._session = _Session(self._open_producer())
        return self._session


def open_producer(bootstrap: str, *, wait_seconds: float) -> Producer:
    """Return an idempotent producer that gives a record up after `wait_seconds`."""
    return Producer(
        {
            **PRODUCER_SETTINGS,
            "bootstrap.servers": bootstrap,
            "client.id": "sortline-serve",
            "linger.ms": 1,
            "socket.nagle.disable": True,  # each request of ours has somebody who waits for it
            # What is answered with 503 must not be sent later. A request on its way is given up with its first
            # record, so this bounds it as well.
            "message.timeout.ms": round(wait_seconds * 1000),
            "queue.buffering.max.messages": 20_000,
            "queue.buffering.max.kbytes": 64 << 10,
            # A broker that is back is found within a second, not ten.
            "reconnect.backoff.max.ms": 1_000,
        }
    )


def _cause(error: KafkaException) -> KafkaError:
    cause = error.args[0]
    return cause if isinstance(cause, KafkaError) else KafkaError(KafkaError._FAIL, str(cause))


class _Waiting:
    """The records of one call; told of outcomes from the loop's thread and from the polling one."""

    def __init__(self, n_records: int, loop: asyncio.AbstractEventLoop) -> None:
        self.outcomes: asyncio.Future[list[Place | Undelivered]] = loop.create_future()
        self.is_producer_broken = False
        self._loop = loop
        self._settled: dict[int, Place | Undelivered] = {}
        self._n_records = n_records
        self._lock = threading.Lock()

    def report(self, at: int, error: KafkaError | None, message: Message) -> None:
        """Take one delivery report."""
        if error is not None:
            self.refuse(at, error, "unknown")
            return
        place = Place(str(message.topic()), int(message.partition() or 0), int(message.offset() or 0))
        self.settle(at, place)

    def refuse(self, at: int, error: KafkaError, fate: Literal["unsent", "unknown"]) -> None:
        # _FATAL is what a producer says after the error that broke it.
        if error.fatal() or error.code() == KafkaError._FATAL:
            self.is_producer_broken = True
        is_too_large = error.code() in (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE)
        self.settle(at, Undelivered(error.str(), "too-large" if is_too_large else fate))

    def settle(self, at: int, outcome: Place | Undelivered) -> None:
        with self._lock:
            self._settled[at] = outcome
            is_last = len(self._settled) == self._n_records
        if is_last:
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if not self.outcomes.done():  # its caller may have been cancelled
            self.outcomes.set_result([self._settled[at] for at in range(self._n_records)])


class _Session:
    """One producer and the thread that polls it."""

    def __init__(self, producer: Producer) -> None:
        self.producer = producer
        self.is_broken = False
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="kafka-deliveries", daemon=True)
        self._thread.start()

    def abandon(self) -> None:
        """Let the thread end by itself once nothing waits for a report."""
        self._is_closing.set()

    def close(self) -> None:
        """As `abandon`, and wait for it; bounded by the producer's `message.timeout.ms`."""
        self.abandon()
        self._thread.join()

    def _poll(self) -> None:
        while not self._is_closing.is_set() or len(self.producer):
            self.producer.poll(_POLL_SECONDS)
