from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from confluent_kafka import KafkaError, Message, Producer

from schemas.product_records import OutgoingRecord
from sortline.product_producer import Deliveries, flush_all, send

MESSAGE = cast("Message", None)  # the callback does not look at it


class FullAtFirst:
    """A producer whose queue has room for two records until it is polled, and loses what begins with `lost`."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, bytes | None]] = []
        self._queue: list[tuple[bytes, Callable[[Any, Message], None]]] = []

    def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes,
        headers: object,
        on_delivery: Callable[[Any, Message], None],
    ) -> None:
        if len(self._queue) == 2:
            raise BufferError
        self.sent.append((key, value))
        self._queue.append((key, on_delivery))

    def poll(self, _seconds: float) -> int:
        for key, report in self._queue:
            report(KafkaError(KafkaError._MSG_TIMED_OUT) if key.startswith(b"lost") else None, MESSAGE)
        self._queue.clear()
        return 0

    def flush(self, _seconds: float) -> int:
        return len(self._queue)


def _records(*keys: bytes) -> list[OutgoingRecord]:
    return [OutgoingRecord(key, b"value", []) for key in keys]


def test_a_full_queue_is_waited_for_and_the_order_is_kept() -> None:
    producer, deliveries = FullAtFirst(), Deliveries()
    send(cast("Producer", producer), "topic", _records(b"1", b"2", b"3", b"4", b"5"), deliveries)
    assert [key for key, _ in producer.sent] == [b"1", b"2", b"3", b"4", b"5"]
    assert deliveries.delivered == 5


def test_a_failed_delivery_is_counted_with_its_reason() -> None:
    producer, deliveries = FullAtFirst(), Deliveries()
    send(cast("Producer", producer), "topic", _records(b"1", b"lost-2", b"lost-3"), deliveries)
    assert (deliveries.delivered, deliveries.failed) == (1, 2)
    (reason,) = deliveries.failures
    assert "timed out" in reason


def test_a_record_without_an_answer_has_failed() -> None:
    producer, deliveries = FullAtFirst(), Deliveries()
    producer.produce("topic", b"value", b"1", [], deliveries.report)
    flush_all(cast("Producer", producer), deliveries)
    assert deliveries.failed == 1
