from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

from schemas.topics import TopicNames

if TYPE_CHECKING:
    from tests.integration.conftest import Broker

pytestmark = pytest.mark.integration

QUIET: Final[dict[str, Any]] = {"log_level": 0, "error_cb": lambda _: None}


def answers(bootstrap: str) -> bool:
    try:
        return bool(AdminClient({"bootstrap.servers": bootstrap, **QUIET}).list_topics(timeout=1.0).brokers)
    except KafkaException:
        return False


def test_a_killed_broker_comes_back_at_its_address_with_its_data(
    bootstrap: str, topics: TopicNames, broker: Broker
) -> None:
    deliveries: list[object] = []
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", **QUIET})
    producer.produce(topics.created, b"before", on_delivery=lambda error, _: deliveries.append(error))
    producer.flush(10)
    broker.kill()
    assert not answers(bootstrap)
    broker.start()
    assert answers(bootstrap)
    producer.produce(topics.created, b"after", on_delivery=lambda error, _: deliveries.append(error))
    assert producer.flush(30) == 0
    assert deliveries == [None, None]


def test_a_paused_broker_does_not_answer_until_it_goes_on(bootstrap: str, broker: Broker) -> None:
    broker.pause()
    assert not answers(bootstrap)
    broker.unpause()
    assert answers(bootstrap)
