"""Puts products on a topic: encoded as Avro, keyed by product_id, every delivery accounted for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
from confluent_kafka import KafkaError, Message, Producer

from schemas.columns import LABELLED_PRODUCT, PRODUCT
from schemas.product_records import PRODUCER_SETTINGS, OutgoingRecord, encoder_for, product_records
from schemas.registry import SchemaRegistry
from sortline.broker import topic_partitions

#: Rows encoded and handed over at a time where no rate is asked for.
_ROWS_AT_ONCE: Final = 1_000
#: With a rate, this many hand-overs a second: a smooth flow rather than one burst each second.
_STEPS_A_SECOND: Final = 20
_FLUSH_SECONDS: Final = 60.0
#: `ce_source` of what a person publishes from a file.
SOURCE: Final = "/sortline/produce"


@dataclass(slots=True)
class Deliveries:
    """What became of the records handed to a producer; its `report` is the delivery callback."""

    delivered: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    def report(self, error: KafkaError | None, _message: Message) -> None:
        """Count one record as delivered, or as failed with its reason."""
        if error is None:
            self.delivered += 1
        else:
            self.failures[error.str()] += 1

    @property
    def failed(self) -> int:
        """How many records were not delivered."""
        return self.failures.total()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProduceReport:
    """What `produce_table` did. Seconds from the first row to the last delivery report."""

    topic: str
    delivered: int
    failed: int
    first_failure: str | None
    seconds: float

    @property
    def events_per_second(self) -> float:
        """Delivered records a second."""
        return self.delivered / self.seconds if self.seconds > 0 else 0.0


def open_producer(bootstrap: str) -> Producer:
    """Return an idempotent producer that waits for all replicas and picks partitions as Java clients do."""
    return Producer(
        {
            **PRODUCER_SETTINGS,
            "bootstrap.servers": bootstrap,
            "client.id": "sortline-produce",
            "linger.ms": 20,
            # What the broker has not taken by then is reported as failed, not retried for five minutes.
            "delivery.timeout.ms": 30_000,
        }
    )


def send(producer: Producer, topic: str, records: Iterable[OutgoingRecord], deliveries: Deliveries) -> None:
    """Hand records over in order, waiting where the producer's queue is full; `flush_all` waits for deliveries."""
    for record in records:
        hand_over(producer, topic, record.key, record.value, record.headers, deliveries)
    producer.poll(0)


def hand_over(
    producer: Producer,
    topic: str,
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[tuple[str, bytes | None]],
    deliveries: Deliveries,
    **place: Any,
) -> None:
    """Hand one record over, waiting while the producer's queue is full.

    `place` may be its `partition` and `timestamp`; otherwise the key and the present decide.
    """
    nullable: Any = [*headers]  # null values are fine, though not in the types
    while True:
        try:
            producer.produce(topic, value, key, headers=nullable, on_delivery=deliveries.report, **place)
        except BufferError:
            producer.poll(0.1)
        else:
            return


def flush_all(producer: Producer, deliveries: Deliveries) -> None:
    """Wait until each record handed over is delivered or has failed; what is still waiting then has failed."""
    waiting = producer.flush(_FLUSH_SECONDS)
    if waiting:
        deliveries.failures[f"no answer within {_FLUSH_SECONDS:.0f} s"] += waiting


def produce_table(
    products: pa.Table,
    *,
    topic: str,
    labelled: bool,
    bootstrap: str,
    registry: SchemaRegistry,
    rate: float | None = None,
    advance: Callable[[int], None] = lambda _rows: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> ProduceReport:
    """Produce every row, in order, and wait until each is delivered or has failed.

    `products` has the columns of `LABELLED_PRODUCT` where `labelled` is true, of `PRODUCT` otherwise; others are
    left out. The schema is registered under `<topic>-value` (the same schema keeps its id). `rate` is rows a
    second, None for as fast as the broker takes them. `advance` is told of the rows handed over.

    Raises DependencyUnavailableError if Kafka or the registry does not answer, SetupError if there is no such
    topic. A failed delivery is no exception: it is in the report.
    """
    producer = open_producer(bootstrap)
    topic_partitions(producer, [topic], bootstrap=bootstrap)  # a typing error must not create a topic
    encoder = encoder_for(topic, labelled=labelled, registry=registry)
    columns = LABELLED_PRODUCT if labelled else PRODUCT
    rows_at_once = _ROWS_AT_ONCE if rate is None else max(1, min(_ROWS_AT_ONCE, round(rate / _STEPS_A_SECOND)))
    deliveries = Deliveries()
    handed_over = 0
    started = clock()
    for batch in products.select(columns.names).cast(columns).to_batches(max_chunksize=rows_at_once):
        if rate is not None and (early := started + handed_over / rate - clock()) > 0:
            sleep(early)
        send(producer, topic, product_records(batch, encoder, source=SOURCE, labelled=labelled), deliveries)
        handed_over += batch.num_rows
        advance(batch.num_rows)
    flush_all(producer, deliveries)
    return ProduceReport(
        topic=topic,
        delivered=deliveries.delivered,
        failed=deliveries.failed,
        first_failure=next(iter(deliveries.failures), None),
        seconds=clock() - started,
    )
