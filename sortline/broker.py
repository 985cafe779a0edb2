"""Asks the broker what it has before a command relies on it, and says what to do when it does not answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from schemas.errors import DependencyUnavailableError, SetupError

ANSWER_SECONDS: Final = 10.0

#: For `open_reader`, where a partition is read to its present end.
TO_THE_END: Final[Mapping[str, str | int | bool]] = {
    "enable.partition.eof": True,
    "auto.offset.reset": "earliest",
    "fetch.wait.max.ms": 50,
}


def topic_partitions(
    client: Consumer | Producer, topics: Sequence[str], *, bootstrap: str
) -> Mapping[str, Sequence[int]]:
    """Return the partitions of each topic; nothing is created by asking.

    Raises DependencyUnavailableError if the broker does not answer within ten seconds, SetupError if it has no
    such topic.
    """
    try:
        known = client.list_topics(timeout=ANSWER_SECONDS).topics
    except KafkaException as error:
        raise unavailable(bootstrap, error) from error
    for topic in topics:
        if topic not in known:
            raise SetupError(f"topic {topic} does not exist at {bootstrap}: `sortline topics apply` creates it")
    return {topic: sorted(known[topic].partitions) for topic in topics}


def open_reader(bootstrap: str, client_id: str, settings: Mapping[str, str | int | bool]) -> Consumer:
    """Return a consumer of committed transactions that is to be given its partitions; `settings` win.

    It commits nothing and belongs to no group that others could see.
    """
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "client.id": client_id,
            "group.id": client_id,  # the client wants one; without commits it never exists
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "isolation.level": "read_committed",
            "log_level": 2,  # librdkafka's own lines on stderr would only repeat our sentence
            **settings,
        }
    )


def unavailable(bootstrap: str, error: KafkaException) -> DependencyUnavailableError:
    """Return the error to raise where the broker does not answer."""
    cause = error.args[0]
    reason = cause if isinstance(cause, str) else cause.str()
    return DependencyUnavailableError(
        f"Kafka at {bootstrap} does not answer ({reason}): is the stack up, is --bootstrap right?"
    )


def delete_topics(bootstrap: str, topics: Sequence[str]) -> None:
    """Delete topics and all that is in them; one that does not exist is none of our business.

    Raises DependencyUnavailableError if the broker does not do it.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
    for deletion in admin.delete_topics([*topics], operation_timeout=ANSWER_SECONDS).values():
        try:
            deletion.result()
        except KafkaException as error:
            cause = error.args[0]
            if isinstance(cause, KafkaError) and cause.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                continue
            raise unavailable(bootstrap, error) from error
