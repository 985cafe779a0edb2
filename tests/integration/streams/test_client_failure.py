"""A Kafka client whose own work has ended takes the worker down, instead of letting it wait for ever."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiokafka
import pytest
from aiokafka.client import AIOKafkaClient

from schemas.errors import DependencyUnavailableError
from streams.client_watch import watch_client
from streams.delivery import AtLeastOnce, ProducerOptions
from streams.transactions import ExactlyOnce

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.streams.conftest import Topics

pytestmark = pytest.mark.integration


def _break(client: Any) -> None:
    """Let the client's next look at the cluster end in an error that it does not expect."""

    async def fail(*_: object) -> bool:
        raise RuntimeError("unable to perform operation on a closed transport")

    client._metadata_update = fail
    client.force_metadata_update()


def _at_least_once(options: ProducerOptions) -> AtLeastOnce | ExactlyOnce:
    return AtLeastOnce(options)


def _exactly_once(options: ProducerOptions) -> AtLeastOnce | ExactlyOnce:
    return ExactlyOnce(options, group_id=options.input_topic, transaction_timeout_seconds=60)


@pytest.mark.parametrize("new", [_at_least_once, _exactly_once])
async def test_a_producer_that_lost_the_cluster_crashes_the_delivery(
    stream: Topics,
    new: Callable[[ProducerOptions], AtLeastOnce | ExactlyOnce],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clients: list[Any] = []
    bootstrap = AIOKafkaClient.bootstrap

    async def remember(client: Any) -> None:
        clients.append(client)
        await bootstrap(client)

    monkeypatch.setattr(AIOKafkaClient, "bootstrap", remember)
    options = ProducerOptions(
        bootstrap=stream.bootstrap,
        input_topic=stream.names.created,
        output_topics=(stream.names.categorized, stream.names.review, stream.names.dead_letters),
    )
    delivery = new(options)
    await delivery.start()
    await delivery.assigned(frozenset({(stream.names.created, 0)}))
    _break(clients[-1])
    await asyncio.wait_for(delivery._crashed.wait(), 30)
    assert isinstance(delivery.crash_reason, DependencyUnavailableError)
    await delivery.stop()


async def test_stopping_a_producer_is_not_taken_for_a_failure(stream: Topics) -> None:
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=stream.bootstrap)
    await producer.start()
    told: list[DependencyUnavailableError] = []
    watch_client(producer.client, "the producer", told.append)
    await producer.stop()
    assert told == []
