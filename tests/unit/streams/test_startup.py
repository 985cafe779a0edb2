"""What must be there before a worker joins its group."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from schemas.avro_files import load_schema
from schemas.errors import DependencyUnavailableError, SetupError
from schemas.registry import InMemoryRegistry
from schemas.topics import TopicNames
from schemas.wire import SchemaId
from streams.startup import Ready, TopicFacts, wait_until_ready

NAMES = TopicNames()
STREAM = (NAMES.created, NAMES.categorized, NAMES.review, NAMES.dead_letters, NAMES.swaps)
FACTS = TopicFacts(n_partitions=6, max_message_bytes=1_048_588)


@dataclass
class FakeBroker:
    """Fails a number of times, then tells."""

    failures: int = 0
    facts: dict[str, TopicFacts] = field(default_factory=lambda: dict.fromkeys(STREAM, FACTS))
    asked: int = 0

    def topics(self, names: frozenset[str]) -> Mapping[str, TopicFacts]:
        self.asked += 1
        if self.asked <= self.failures:
            raise DependencyUnavailableError("Kafka at nowhere does not answer")
        return {name: facts for name, facts in self.facts.items() if name in names}


@dataclass
class Time:
    """Passes only by sleeping."""

    now: float = 0.0
    naps: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds

    def clock(self) -> float:
        return self.now


def registry_with_subjects() -> InMemoryRegistry:
    registry = InMemoryRegistry()
    for topic in (NAMES.categorized, NAMES.review):
        registry.register(f"{topic}-value", load_schema("product_categorized"))
    registry.register(f"{NAMES.swaps}-value", load_schema("model_swap"))
    return registry


def wait(broker: FakeBroker, registry: InMemoryRegistry, time: Time, deadline: float = 60.0) -> Ready:
    return wait_until_ready(
        broker=broker,
        registry=registry,
        names=NAMES,
        deadline_seconds=deadline,
        sleep=time.sleep,
        clock=time.clock,
    )


def test_nothing_is_waited_for_where_everything_is_there() -> None:
    time = Time()
    ready = wait(FakeBroker(), registry_with_subjects(), time)
    assert time.naps == []
    assert ready.max_batch_bytes == 1_048_588
    assert ready.topics[NAMES.created] == FACTS


def test_a_broker_that_comes_late_is_waited_for_with_growing_pauses(caplog: pytest.LogCaptureFixture) -> None:
    time = Time()
    with caplog.at_level(logging.WARNING, "streams"):
        wait(FakeBroker(failures=7), registry_with_subjects(), time)
    assert time.naps == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    waits = [one for one in caplog.records if one.getMessage() == "waiting for dependency"]
    assert len(waits) == 7


def test_the_wait_has_an_end() -> None:
    time = Time()
    with pytest.raises(DependencyUnavailableError, match="does not answer"):
        wait(FakeBroker(failures=10**6), registry_with_subjects(), time, deadline=20.0)
    assert 10 < time.now <= 20


def test_a_missing_topic_is_not_waited_for_and_the_sentence_says_what_to_do() -> None:
    broker = FakeBroker()
    del broker.facts[NAMES.review], broker.facts[NAMES.dead_letters]
    with pytest.raises(SetupError, match=r"topic products\.created\.dlq, products\.review does not exist: run"):
        wait(broker, registry_with_subjects(), Time())


def test_a_subject_that_nobody_registered_is_a_matter_of_set_up() -> None:
    with pytest.raises(SetupError, match=r"subject products\.categorized-value is not in .* topics apply"):
        wait(FakeBroker(), InMemoryRegistry(), Time())


def test_the_id_is_that_of_our_schema_and_not_of_the_latest() -> None:
    registry = registry_with_subjects()
    other = load_schema("product_categorized").replace("ProductCategorized", "SomethingLater")
    latest = registry.register(f"{NAMES.categorized}-value", other)
    ready = wait(FakeBroker(), registry, Time())
    assert latest != ready.categorized_id == SchemaId(1)


def test_a_registry_that_comes_late_shares_the_deadline_with_kafka() -> None:
    class Late(InMemoryRegistry):
        def latest(self, subject: str) -> SchemaId | None:
            raise DependencyUnavailableError("the registry does not answer")

    time = Time()
    with pytest.raises(DependencyUnavailableError, match="registry"):
        wait(FakeBroker(failures=5), Late(), time, deadline=15.0)
    assert time.now <= 15


def test_a_dead_letter_topic_too_small_for_the_largest_input_is_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = FakeBroker()
    with caplog.at_level(logging.WARNING, "streams"):
        wait(broker, registry_with_subjects(), Time())
        broker.facts[NAMES.dead_letters] = TopicFacts(n_partitions=6, max_message_bytes=2_000_000)
        wait(broker, registry_with_subjects(), Time())
    assert [one.getMessage() for one in caplog.records] == ["dead-letter topic may refuse the largest records"]


def test_the_smallest_output_topic_bounds_a_batch(caplog: pytest.LogCaptureFixture) -> None:
    broker = FakeBroker()
    broker.facts[NAMES.review] = TopicFacts(n_partitions=6, max_message_bytes=5_000)
    assert wait(broker, registry_with_subjects(), Time()).max_batch_bytes == 5_000
