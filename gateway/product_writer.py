"""Publishes products on the stream's input topic as `sortline produce` does, every delivery confirmed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol

import pyarrow as pa
from confluent_kafka import KafkaException, Producer

from gateway.deliveries import Deliveries, Place, Undelivered, open_producer
from schemas.encoding import Encoder
from schemas.errors import DependencyUnavailableError, SetupError
from schemas.product_records import encoder_for, product_records, withdrawal
from schemas.registry import SchemaRegistry

log = logging.getLogger(__name__)

#: `ce_source` of what comes in over HTTP.
SOURCE: Final = "/sortline/serve"

#: How long a request waits for Kafka, and one that finds the topic's schema not known yet for the registry.
WAIT_SECONDS: Final = 5.0


class ProductWriter(Protocol):
    """Where products go. Raises DependencyUnavailableError or SetupError if nothing can be published."""

    async def publish(self, products: pa.RecordBatch, traceparent: bytes | None) -> Sequence[Place | Undelivered]:
        """Publish valid products, `columns.PRODUCT`, and return the outcome of each, in order."""

    async def withdraw(self, product_id: str, traceparent: bytes | None) -> Place | Undelivered:
        """Publish a product's tombstone."""


class KafkaProductWriter:
    """Writes to one topic of a real Kafka. Neither Kafka nor the registry need answer when it is made.

    The topic is looked up (a typing error must not create one) and its schema registered by the first call, or by
    `prepare`; what succeeded is kept, so a registry that goes away later is not missed.
    """

    def __init__(
        self, *, topic: str, bootstrap: str, registry: SchemaRegistry, wait_seconds: float = WAIT_SECONDS
    ) -> None:
        self.topic = topic
        self._bootstrap = bootstrap
        self._registry = registry
        self._wait_seconds = wait_seconds
        self._deliveries = Deliveries(
            lambda: open_producer(bootstrap, wait_seconds=wait_seconds), wait_seconds=wait_seconds
        )
        self._preparation: asyncio.Task[Encoder] | None = None

    async def prepare(self) -> Encoder:
        """Look the topic up and register its schema, once for all who wait; a failure is tried anew by the next.

        Raises DependencyUnavailableError if Kafka or the registry gives no answer, SetupError if there is no such
        topic or its subject refuses the schema.
        """
        preparation = self._preparation
        if preparation is None or (preparation.done() and _has_failed(preparation)):
            preparation = self._preparation = asyncio.create_task(
                asyncio.to_thread(self._prepare, self._deliveries.producer)
            )
        return await asyncio.shield(preparation)

    async def publish(self, products: pa.RecordBatch, traceparent: bytes | None) -> list[Place | Undelivered]:
        """Publish valid products; see ProductWriter."""
        encoder = await self.prepare()
        records = product_records(products, encoder, source=SOURCE, traceparent=traceparent)
        return await self._deliveries.deliver(self.topic, records)

    async def withdraw(self, product_id: str, traceparent: bytes | None) -> Place | Undelivered:
        """Publish a tombstone; see ProductWriter."""
        await self.prepare()
        record = withdrawal(product_id, source=SOURCE, traceparent=traceparent)
        (outcome,) = await self._deliveries.deliver(self.topic, [record])
        return outcome

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Prepare while the block runs, so that no request has to; at its end deliver all that was handed over."""
        preparing = asyncio.create_task(self._prepare_ahead())
        try:
            yield
        finally:
            await preparing
            await self._deliveries.close()

    async def _prepare_ahead(self) -> None:
        try:
            await self.prepare()
        except (DependencyUnavailableError, SetupError) as error:
            log.warning("products cannot be published yet", extra={"reason": str(error)})

    def _prepare(self, producer: Producer) -> Encoder:
        self._check_topic(producer)
        return encoder_for(self.topic, labelled=False, registry=self._registry)

    def _check_topic(self, producer: Producer) -> None:
        try:
            known = producer.list_topics(timeout=self._wait_seconds).topics
        except KafkaException as error:
            raise DependencyUnavailableError(f"Kafka at {self._bootstrap} does not answer ({error})") from error
        if self.topic not in known:
            raise SetupError(
                f"topic {self.topic} does not exist at {self._bootstrap}: `sortline topics apply` creates it"
            )


def _has_failed(task: asyncio.Task[Encoder]) -> bool:
    return task.cancelled() or task.exception() is not None
