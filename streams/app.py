"""The Faust app: one agent over the input topic."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, cast

import faust
from faust.types import TP
from mode import CrashingSupervisor

from models.serving.follower import ModelFollower
from models.serving.store import followed
from models.serving.try_out import try_out
from schemas.encoding import Encoder
from streams.announcements import Announcements
from streams.breaker import Breaker
from streams.delivery import AtLeastOnce, ProducerOptions
from streams.health import Health, serve_health
from streams.lean_start import NoTables
from streams.loop_consumer import TransportOptions
from streams.memory import give_back
from streams.metrics import Counters
from streams.model_watch import ModelWatch
from streams.pipeline import Pipeline, Processor
from streams.progress import ProgressWatch
from streams.settings import WorkerSettings
from streams.slices import SliceProcessor
from streams.swap_records import SwapRecords, worker_name
from streams.transactions import ExactlyOnce
from streams.transport import SCHEME, Consumer, SliceSchema, Transport, register_scheme

log = logging.getLogger(__name__)

#: A worker that waits for the registry fetches nothing meanwhile; that is no reason to give its partitions away.
#: Whether it gets on is what /ready is for.
_LONGEST_POLL_INTERVAL_SECONDS: Final = 86_400.0
#: A broker that is away for longer than this costs the worker a restart. Readers of outputs wait so long for the
#: transaction of a dead worker only if nobody takes its partitions: whoever does aborts it at once.
_TRANSACTION_TIMEOUT_SECONDS: Final = 60.0
#: How often free memory goes back to the system.
_GIVE_BACK_SECONDS: Final = 10.0


def build_app(
    settings: WorkerSettings, processor: Processor, *, swap_encoder: Encoder, counters: Counters | None = None
) -> faust.App:
    """Return the app, not started. Call it in the event loop that is going to run it.

    Every slice goes through `processor` and is acknowledged once its outputs are safe in Kafka. Nothing but a
    crash leaves the agent: bad data becomes dead letters. `swap_encoder` is that of `columns.MODEL_SWAP`.
    """
    counters = counters or Counters()
    app = _new_app(settings)
    delivery = _new_delivery(settings)
    # Dependencies start in this order and stop in reverse, so deliveries outlive the consumer that waits for them.
    app.add_dependency(delivery)
    app.boot_strategy.enable_kafka_producer = False  # all outputs go through the delivery
    transport = cast(Transport, app.transport)
    transport.options = _transport_options(settings, delivery)
    swaps = SwapRecords(
        encoder=swap_encoder,
        group_id=settings.group_id,
        worker=worker_name(settings.static_member),
        now_ms=now_ms,
    )
    topic = app.topic(settings.topics.created, schema=SliceSchema())

    @app.agent(topic, name="classify", concurrency=1, supervisor_strategy=CrashingSupervisor)
    async def _classify(stream: Any) -> None:
        executor = ThreadPoolExecutor(1, thread_name_prefix="scoring")
        pipeline = Pipeline(
            source=cast(Consumer, app.consumer),
            processor=processor,
            delivery=delivery,
            topics=settings.topics,
            swaps=swaps,
            breaker=Breaker(
                most_in_a_row=settings.dead_letters_in_a_row,
                most_share=settings.dead_letters_share,
                window=settings.dead_letters_window,
                minimum=settings.dead_letters_window // 10,
            ),
            counters=counters,
            executor=executor,
            group_rows=settings.slice_rows,
            now_ms=now_ms,
        )
        try:
            await pipeline.run(stream.noack().events())
        finally:
            executor.shutdown(wait=False, cancel_futures=True)

    _log_assignments(app)
    watch = ProgressWatch(stuck_after_seconds=settings.stuck_after_seconds)
    health = Health(
        app,
        counters,
        watch,
        model=lambda: processor.model,
        produce_seconds=lambda: delivery.filler.cpu_seconds,
    )
    serve_health(app, health)

    @app.timer(interval=_GIVE_BACK_SECONDS)  # type: ignore[untyped-decorator]  # as Faust has it
    async def _give_back() -> None:
        await asyncio.to_thread(give_back)

    return app


def follow_model(app: faust.App, settings: WorkerSettings, processor: SliceProcessor, counters: Counters) -> None:
    """Let the app swap the processor's model when its alias means another one, if it is named by an alias."""
    store = followed(settings.model, settings.tracking_uri)
    if store is None:
        return
    follower = ModelFollower(
        store=store,
        server=processor,
        try_out=try_out,
        counters=counters,
        poll_seconds=settings.model_poll_seconds,
    )
    announcements = Announcements(settings.bootstrap, settings.topics.announced, store.name)
    app.add_dependency(ModelWatch(follower, announcements))


def now_ms() -> int:
    """Return the time, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def _new_app(settings: WorkerSettings) -> faust.App:
    register_scheme()
    session = settings.session_timeout_seconds
    return faust.App(
        settings.group_id,
        broker=[f"{SCHEME}://{address.strip()}" for address in settings.bootstrap.split(",")],
        broker_client_id=f"sortline-{settings.group_id}",
        broker_session_timeout=session,
        broker_heartbeat_interval=session / 5,
        broker_request_timeout=max(30.0, session + 5.0),
        broker_commit_interval=settings.commit_interval_seconds,
        broker_max_poll_records=2 * settings.slice_rows,
        broker_max_poll_interval=_LONGEST_POLL_INTERVAL_SECONDS,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=settings.static_member,
        consumer_max_fetch_size=settings.max_fetch_bytes,
        stream_buffer_maxsize=settings.slices_in_flight,
        stream_wait_empty=True,
        # Faust's own topics, tables and leader election have no part in this.
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        TableManager=NoTables,
        datadir=Path(tempfile.gettempdir()) / f"sortline-{settings.group_id}",
        key_serializer="raw",
        value_serializer="raw",
        web_enabled=True,
        web_bind=settings.web_host,
        web_host=settings.web_host,
        web_port=settings.web_port,
        web_router_enabled=False,
        web_tables_enabled=False,
        web_stats_enabled=False,
    )


def _new_delivery(settings: WorkerSettings) -> AtLeastOnce | ExactlyOnce:
    options = ProducerOptions(
        bootstrap=settings.bootstrap,
        input_topic=settings.topics.created,
        output_topics=(
            settings.topics.categorized,
            settings.topics.review,
            settings.topics.dead_letters,
            settings.topics.swaps,
        ),
        client_id=f"sortline-{settings.group_id}",
        max_batch_bytes=settings.max_batch_bytes,
        compression=settings.compression,
    )
    if settings.delivery == "at-least-once":
        return AtLeastOnce(options)
    return ExactlyOnce(
        options,
        group_id=settings.group_id,
        transaction_timeout_seconds=max(_TRANSACTION_TIMEOUT_SECONDS, 3 * settings.commit_interval_seconds),
    )


def _transport_options(settings: WorkerSettings, delivery: AtLeastOnce | ExactlyOnce) -> TransportOptions:
    async def on_assignment(assigned: frozenset[TP]) -> None:
        await delivery.assigned(frozenset((tp.topic, tp.partition) for tp in assigned))

    return TransportOptions(
        slice_rows=settings.slice_rows,
        slices_in_flight=settings.slices_in_flight,
        fetch_wait_seconds=settings.fetch_wait_seconds,
        on_assignment=on_assignment,
        commit=delivery.commit if isinstance(delivery, ExactlyOnce) else None,
    )


def _log_assignments(app: faust.App) -> None:
    @app.on_partitions_assigned.connect(weak=False)
    async def _on_assigned(_: Any, assigned: set[TP], **__: Any) -> None:
        log.info("partitions assigned", extra={"partitions": _names(assigned)})

    @app.on_partitions_revoked.connect(weak=False)
    async def _on_revoked(_: Any, revoked: set[TP], **__: Any) -> None:
        log.info("partitions revoked", extra={"partitions": _names(revoked)})


def _names(partitions: set[TP]) -> str:
    return ",".join(f"{tp.topic}/{tp.partition}" for tp in sorted(partitions)) or "none"
