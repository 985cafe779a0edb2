"""Events whose place among the outputs is known before they are sent.

Every event has a key of its own, which its output keeps: by it an output is matched with its input, whatever
topic it ends in. Most events are products; some are broken in ways that make dead letters, some are tombstones.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from confluent_kafka import KafkaError, Message, Producer

from models.bundle import load_bundle
from schemas import columns
from schemas.avro_files import load_schema
from schemas.encoding import Encoder
from schemas.topics import TopicNames
from schemas.wire import SchemaId

_KEY: Final = "fault-%d"
_TEMPLATES: Final = 2_000
_SHARE_BROKEN: Final = 0.03
_SHARE_TOMBSTONES: Final = 0.03
_TICK_SECONDS: Final = 0.01


class Place(IntEnum):
    """Where an event ends."""

    CATEGORIZED = 0
    REVIEW = 1
    DEAD_LETTERS = 2

    def topic(self, names: TopicNames) -> str:
        """Return the topic of this place."""
        return (names.categorized, names.review, names.dead_letters)[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class Templates:
    """Products that the events are copies of, under new ids.

    Attributes:
        products: `columns.PRODUCT`.
        is_review: whether the model leaves the product to a person; the model decides the same on every copy.
    """

    products: pa.RecordBatch
    is_review: npt.NDArray[np.bool_]


def decide_templates(model: Path, products: pa.RecordBatch) -> Templates:
    """Let the model decide on the first products; every fourth gets a title that is like no category."""
    products = products.select(columns.PRODUCT.names).slice(0, _TEMPLATES)
    titles = [f"Xylqz {i}" if i % 4 == 3 else title for i, title in enumerate(products["title"].to_pylist())]
    title = columns.PRODUCT.field("title")
    products = products.set_column(products.schema.get_field_index("title"), title, pa.array(titles, title.type))
    decisions = load_bundle(model).classify(products)["decision"].to_pylist()
    return Templates(products=products, is_review=np.array([one == "review" for one in decisions]))


class Events:
    """N events, the same ones for the same seed."""

    def __init__(self, n_events: int, *, templates: Templates, schema_id: SchemaId, seed: int) -> None:
        random = np.random.default_rng(seed)
        kind = random.random(n_events)
        self.n_events = n_events
        self._templates = templates
        self._encoder = Encoder(load_schema("product_created"), schema_id)
        self._is_broken = kind < _SHARE_BROKEN
        self._is_tombstone = (kind >= _SHARE_BROKEN) & (kind < _SHARE_BROKEN + _SHARE_TOMBSTONES)
        self._template = random.integers(templates.products.num_rows, size=n_events)
        #: For each event the Place where it belongs.
        self.expected = np.where(
            self._is_broken,
            Place.DEAD_LETTERS,
            np.where(templates.is_review[self._template] & ~self._is_tombstone, Place.REVIEW, Place.CATEGORIZED),
        ).astype(np.uint8)

    def rows(self, start: int, stop: int) -> list[tuple[bytes, bytes | None]]:
        """Return key and value of these events."""
        numbers = range(start, stop)
        # A product whose id is not its key is refused as well: its value is in order, and not its own.
        ids = [_KEY % (n + self._is_broken[n]) for n in numbers]
        batch = self._templates.products.take(pa.array(self._template[start:stop]))
        batch = batch.set_column(
            batch.schema.get_field_index("product_id"), columns.PRODUCT.field("product_id"), pa.array(ids)
        )
        rows: list[tuple[bytes, bytes | None]] = []
        for n, value in zip(numbers, self._encoder.encode(batch), strict=True):
            broken = (value, value[: len(value) // 3], b"not Avro")[n % 3] if self._is_broken[n] else value
            rows.append(((_KEY % n).encode(), None if self._is_tombstone[n] else broken))
        return rows


def number_of(key: bytes | None) -> int | None:
    """Return the number of the event with this key, or None if no event has it.

    >>> number_of(b"fault-12")
    12
    """
    prefix, _, number = (key or b"").partition(b"-")
    return int(number) if prefix == b"fault" and number.isdigit() else None


class Load(threading.Thread):
    """Produces the events at a steady rate, as far as it is allowed to: a fault must never find an idle stream.

    Attributes:
        n_sent: how many were given to the producer.
        sent_at: when, by `time.monotonic`; 0 for those still to come.
        failures: what the broker said of events that it did not take.
    """

    def __init__(self, events: Events, *, bootstrap: str, topic: str, rate: int) -> None:
        super().__init__(name="load", daemon=True)
        self.n_sent = 0
        self.sent_at = np.zeros(events.n_events)
        self.failures: list[KafkaError] = []
        self._events = events
        self._topic = topic
        self._rate = rate
        self._allowed = 0
        self._ended = threading.Event()
        # Idempotent: a retry does not repeat an event, so what is repeated later was repeated by a worker.
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "linger.ms": 5,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )

    def allow(self, n_events: int) -> None:
        """Let the events up to this number go out."""
        self._allowed = max(self._allowed, n_events)

    def run(self) -> None:
        """Produce until all events are out or `end` is called."""
        per_tick = max(1, int(self._rate * _TICK_SECONDS))
        due = time.monotonic()
        while self.n_sent < self._events.n_events and not self._ended.is_set():
            due = max(due + per_tick / self._rate, time.monotonic() - 0.1)  # do not make up for a long wait
            stop = min(self.n_sent + per_tick, self._allowed)
            if stop > self.n_sent:
                self._send(self.n_sent, stop)
            self._producer.poll(max(0.0, due - time.monotonic()))
            self._ended.wait(max(0.0, due - time.monotonic()))
        self._producer.flush(60)

    def end(self) -> None:
        """Stop, and wait until what was sent is written."""
        self._ended.set()
        if self.ident is not None:  # it may not have been started
            self.join()

    def _send(self, start: int, stop: int) -> None:
        rows: Sequence[tuple[bytes, bytes | None]] = self._events.rows(start, stop)
        self.sent_at[start:stop] = time.monotonic()
        for key, value in rows:
            while True:
                try:
                    self._producer.produce(self._topic, key=key, value=value, on_delivery=self._note)
                    break
                except BufferError:
                    self._producer.poll(0.1)
        self.n_sent = stop

    def _note(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self.failures.append(error)
