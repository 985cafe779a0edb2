"""Announcements that an alias of a registered model was set, so that workers need not wait for their next look.

A worker takes no more from an announcement than that there is something to look at: what an alias means is asked
of the model registry, so an old, late or lost announcement does no harm.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import pyarrow as pa
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from schemas.avro_files import load_schema
from schemas.columns import MODEL_ANNOUNCED
from schemas.encoding import Encoder
from schemas.errors import DependencyUnavailableError, SetupError
from schemas.registry import SchemaRegistry

log = logging.getLogger(__name__)

#: How long a worker waits to be told of the topic.
_ANSWER_SECONDS: Final = 2.0
#: How long one wait inside the client may take: a worker that stops is not kept longer.
_STEP_SECONDS: Final = 0.25
_AT_ONCE: Final = 100
_NO_ANSWER: Final = frozenset({KafkaError._MSG_TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """An alias was set; the fields are those of `model_announced.avsc`, the time is now."""

    name: str
    version: int
    alias: str | None
    announced_by: str


def announce(
    announcement: Announcement,
    *,
    bootstrap: str,
    registry: SchemaRegistry,
    topic: str,
    timeout_seconds: float = 10.0,
) -> None:
    """Write the announcement and return once every in-sync replica has it.

    Raises DependencyUnavailableError if Kafka or the schema registry does not answer in time, and
    SetupError if Kafka does not take it, such as for want of the topic. The alias is set all the same: workers see
    it with their next look.
    """
    schema = load_schema("model_announced")
    encoder = Encoder(schema, registry.register(f"{topic}-value", schema))
    row = {
        "name": announcement.name,
        "version": announcement.version,
        "alias": announcement.alias,
        "announced_by": announcement.announced_by,
        "announced_at": datetime.now(UTC),
    }
    (value,) = encoder.encode(pa.RecordBatch.from_pylist([row], MODEL_ANNOUNCED))
    failures: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failures.append(error)

    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "client.id": "sortline-announce",
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "message.timeout.ms": int(timeout_seconds * 1000),
            "log_level": 0,
        }
    )
    producer.produce(topic, value, announcement.name.encode(), on_delivery=delivered)
    if producer.flush(timeout_seconds + 1.0) or any(error.code() in _NO_ANSWER for error in failures):
        raise DependencyUnavailableError(f"Kafka at {bootstrap} does not answer: the model is not announced")
    if failures:
        raise SetupError(
            f"topic {topic} does not take the announcement ({failures[0].str()}): run `sortline topics apply`"
        )


class Announcements:
    """Hears the announcements of one model, those that are in the topic already among them. For one thread.

    It is no member of any group, commits nothing, and needs no more than Read on the topic. That Kafka is away, or
    the topic, is no error: then nothing is heard.
    """

    def __init__(self, bootstrap: str, topic: str, name: str) -> None:
        self._topic = topic
        self._key = name.encode()
        self._is_listening = False
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "client.id": "sortline-announcements",
                "group.id": "sortline-announcements",  # the client wants one; without commits it never exists
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 1_000,
                "log_level": 0,
            }
        )

    def heard(self, seconds: float, ending: threading.Event) -> bool:
        """Wait until there is an announcement, and return True; False after so many seconds, or once it ends."""
        if not self._is_listening:
            self._is_listening = self._listen()
        if not self._is_listening:
            ending.wait(seconds)
            return False
        end = time.monotonic() + seconds
        while not ending.is_set() and (left := end - time.monotonic()) > 0:
            messages = self._consumer.consume(_AT_ONCE, min(left, _STEP_SECONDS))
            if any(one.error() is None and one.key() == self._key for one in messages):
                return True
        return False

    def close(self) -> None:
        """Disconnect."""
        self._consumer.close()

    def _listen(self) -> bool:
        """Begin at the beginning: what was announced while we started would be missed at the end."""
        try:
            partitions = self._consumer.list_topics(self._topic, timeout=_ANSWER_SECONDS).topics[self._topic]
        except KafkaException as error:
            log.warning("announcements are not heard", extra={"topic": self._topic, "reason": str(error.args[0])})
            return False
        if partitions.error is not None:
            log.warning(
                "announcements are not heard", extra={"topic": self._topic, "reason": str(partitions.error)}
            )
            return False
        self._consumer.assign(
            [TopicPartition(self._topic, one, OFFSET_BEGINNING) for one in partitions.partitions]
        )
        return True
