"""A producer in memory, with the calls of confluent-kafka's that a gateway makes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, cast

from confluent_kafka import KafkaError, KafkaException, Message, Producer

Report = Callable[[KafkaError | None, Message], None]


class FakeMessage:
    """What a report is about."""

    def __init__(self, topic: str, offset: int) -> None:
        self._topic = topic
        self._offset = offset

    def topic(self) -> str:
        return self._topic

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset


class FakeProducer:
    """Appends to one partition; what it does with a record depends on the record's key.

    `lost` times out, `large` and `broken` are refused at once (the second for good), `held` is reported only after
    `release`.
    """

    def __init__(self, *, room: int = 1_000) -> None:
        self.log: list[tuple[str, bytes, bytes | None, list[tuple[str, bytes]]]] = []
        self.thread_names: set[str] = set()
        self._room = room
        self._reports: queue.Queue[tuple[Report, KafkaError | None, FakeMessage]] = queue.Queue()
        self._held: list[tuple[Report, KafkaError | None, FakeMessage]] = []

    @property
    def as_real(self) -> Producer:
        """The same, for mypy."""
        return cast("Producer", self)

    def __len__(self) -> int:
        return self._reports.qsize() + len(self._held)

    def produce(
        self, topic: str, value: bytes | None, key: bytes, *, headers: list[tuple[str, bytes]], on_delivery: Report
    ) -> None:
        if key == b"large":
            raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
        if key == b"broken":
            raise KafkaException(KafkaError(KafkaError._FATAL, "lost its place", fatal=True))
        if len(self) >= self._room:
            raise BufferError
        if key == b"lost":
            self._reports.put((on_delivery, KafkaError(KafkaError._MSG_TIMED_OUT), FakeMessage(topic, -1)))
            return
        report = (on_delivery, None, FakeMessage(topic, len(self.log)))
        self.log.append((topic, key, value, headers))
        if key == b"held":
            self._held.append(report)
        else:
            self._reports.put(report)

    def release(self) -> None:
        """Let what is held be reported."""
        while self._held:
            self._reports.put(self._held.pop(0))

    def poll(self, seconds: float) -> int:
        self.thread_names.add(threading.current_thread().name)
        try:
            report, error, message = self._reports.get(timeout=seconds)
        except queue.Empty:
            return 0
        report(error, cast("Any", message))
        return 1
