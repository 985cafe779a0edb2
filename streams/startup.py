"""What must be there before a worker joins its group: Kafka, its topics and the registry."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from schemas.avro_files import load_schema
from schemas.errors import DependencyUnavailableError, SetupError
from schemas.registry import SchemaRegistry
from schemas.topics import TopicNames
from schemas.wire import SchemaId

log = logging.getLogger(__name__)

T = TypeVar("T")

_FIRST_WAIT_SECONDS: Final = 0.25
_LONGEST_WAIT_SECONDS: Final = 5.0
#: Kafka's default of max.message.bytes, for brokers that do not let us read a topic's configuration.
_DEFAULT_MAX_MESSAGE_BYTES: Final = 1_048_588
#: A dead letter is its original plus headers, which may hold a stack trace.
_DEAD_LETTER_OVERHEAD_BYTES: Final = 16_384
_OUTPUT: Final = "product_categorized"


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicFacts:
    """What the broker says of a topic."""

    n_partitions: int
    max_message_bytes: int


class Broker(Protocol):
    """Tells of topics."""

    def topics(self, names: frozenset[str]) -> Mapping[str, TopicFacts]:
        """Return the facts of those topics that exist.

        Blocks for some seconds at most. Raises DependencyUnavailableError if there is no answer.
        """


class KafkaBroker:
    """Asks a real broker."""

    def __init__(self, bootstrap: str, *, timeout_seconds: float = 5.0) -> None:
        quiet = logging.getLogger("librdkafka")
        quiet.setLevel(logging.CRITICAL)  # it repeats every second what we say once
        self._admin = AdminClient({"bootstrap.servers": bootstrap}, logger=quiet)
        self._bootstrap = bootstrap
        self._timeout = timeout_seconds

    def topics(self, names: frozenset[str]) -> Mapping[str, TopicFacts]:
        """Return the facts of those topics that exist; see Broker."""
        try:
            found = self._admin.list_topics(timeout=self._timeout).topics
        except KafkaException as error:
            raise DependencyUnavailableError(
                f"Kafka at {self._bootstrap} does not answer ({error.args[0]})"
            ) from error
        there = sorted(names & found.keys())
        limits = self._max_message_bytes(there)
        return {
            name: TopicFacts(n_partitions=len(found[name].partitions), max_message_bytes=limits[name])
            for name in there
        }

    def _max_message_bytes(self, names: list[str]) -> dict[str, int]:
        limits = dict.fromkeys(names, _DEFAULT_MAX_MESSAGE_BYTES)
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        answers = self._admin.describe_configs(resources, request_timeout=self._timeout) if names else {}
        for resource, answer in answers.items():
            try:
                limits[resource.name] = int(answer.result()["max.message.bytes"].value or 0)
            except KafkaException as error:
                log.warning("topic configuration unreadable", extra={"topic": resource.name, "reason": str(error)})
        return limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What a worker learns from waiting.

    Attributes:
        topics: facts of the topics of the stream.
        categorized_id: the registry's id of our schema in the categorized topic.
        review_id: of the same in the review topic.
        swaps_id: of the schema of swap records.
        max_batch_bytes: what every output topic takes.
    """

    topics: Mapping[str, TopicFacts]
    categorized_id: SchemaId
    review_id: SchemaId
    swaps_id: SchemaId
    max_batch_bytes: int


def wait_until_ready(
    *,
    broker: Broker,
    registry: SchemaRegistry,
    names: TopicNames,
    deadline_seconds: float,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Ready:
    """Wait for broker and registry, and check topics and schemas.

    Raises SetupError if a topic is missing or a schema is not accepted: waiting would not help. Raises
    DependencyUnavailableError if there is no answer within the deadline.
    """
    patience = _Patience(clock() + deadline_seconds, sleep, clock)
    wanted = frozenset({names.created, names.categorized, names.review, names.dead_letters, names.swaps})
    topics = patience.wait("kafka", lambda: broker.topics(wanted))
    if missing := sorted(wanted - topics.keys()):
        raise SetupError(f"topic {', '.join(missing)} does not exist: run `sortline topics apply`")
    categorized_id = patience.wait("registry", lambda: _schema_id(registry, names.categorized, _OUTPUT))
    review_id = patience.wait("registry", lambda: _schema_id(registry, names.review, _OUTPUT))
    swaps_id = patience.wait("registry", lambda: _schema_id(registry, names.swaps, "model_swap"))
    _warn_of_odd_topics(topics, names)
    outputs = (names.categorized, names.review, names.dead_letters)
    return Ready(
        topics=topics,
        categorized_id=categorized_id,
        review_id=review_id,
        swaps_id=swaps_id,
        max_batch_bytes=min(topics[name].max_message_bytes for name in outputs),
    )


def _schema_id(registry: SchemaRegistry, topic: str, schema: str) -> SchemaId:
    """Return the id of exactly our schema: by the id of another one readers would misread our bytes."""
    subject = f"{topic}-value"
    if registry.latest(subject) is None:
        raise SetupError(f"subject {subject} is not in the schema registry: run `sortline topics apply`")
    return registry.register(subject, load_schema(schema))


def _warn_of_odd_topics(topics: Mapping[str, TopicFacts], names: TopicNames) -> None:
    n_in, n_out = topics[names.created].n_partitions, topics[names.categorized].n_partitions
    if n_in != n_out:
        log.warning("partition counts differ", extra={names.created: n_in, names.categorized: n_out})
    needed = topics[names.created].max_message_bytes + _DEAD_LETTER_OVERHEAD_BYTES
    if topics[names.dead_letters].max_message_bytes < needed:
        log.warning(
            "dead-letter topic may refuse the largest records",
            extra={
                "topic": names.dead_letters,
                "max_message_bytes": topics[names.dead_letters].max_message_bytes,
                "needed": needed,
            },
        )


class _Patience:
    """Repeats an attempt with growing pauses until one deadline for all."""

    def __init__(self, end: float, sleep: Callable[[float], None], clock: Callable[[], float]) -> None:
        self._end = end
        self._sleep = sleep
        self._clock = clock

    def wait(self, dependency: str, attempt: Callable[[], T]) -> T:
        pause = _FIRST_WAIT_SECONDS
        while True:
            try:
                return attempt()
            except DependencyUnavailableError as error:
                if self._clock() + pause > self._end:
                    raise
                log.warning(
                    "waiting for dependency",
                    extra={"dependency": dependency, "reason": str(error), "retry_in_seconds": pause},
                )
            self._sleep(pause)
            pause = min(2 * pause, _LONGEST_WAIT_SECONDS)
