"""A worker process: prepare, join the group, run until told to stop.

Exit codes:

    0  stopped as told, with everything in flight finished and committed
    1  crashed, or a dependency did not come up in time; start it again
    2  the set-up is wrong (settings, topics, schemas, model); starting again does not help
    3  the stream was halted, because too many records in a row were bad or a dead letter could not be written
    4  told to stop, and not done within the deadline; what was not acknowledged is left uncommitted
    5  a transaction is lost: another worker has the partition, or Kafka gave it up; nothing of it is visible, and
       whoever reads the partition next does it again; start it again
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from models.registry import is_registry_uri
from models.serving.store import open_model
from schemas import columns
from schemas.avro_files import load_schema
from schemas.decoding import Decoder
from schemas.encoding import Encoder
from schemas.errors import (
    DependencyUnavailableError,
    SetupError,
    SortlineError,
    StreamHaltedError,
    TransactionLostError,
)
from schemas.registry import ConfluentRegistry
from streams.app import build_app, follow_model, now_ms
from streams.cold_start import compile_if_cold
from streams.deadline import deadline
from streams.lean_start import keep_pandas_out, keep_scipy_out_of_numba
from streams.logs import configure_logging
from streams.memory import let_go_of_code, return_memory_early
from streams.metrics import Counters
from streams.settings import WorkerSettings
from streams.slices import SliceProcessor
from streams.startup import KafkaBroker, Ready, wait_until_ready
from streams.warm_up import warm_up

if TYPE_CHECKING:
    import faust

log = logging.getLogger(__name__)

EXIT_CLEAN: Final = 0
EXIT_CRASHED: Final = 1
EXIT_SETUP: Final = 2
EXIT_HALTED: Final = 3
EXIT_DEADLINE: Final = 4
EXIT_TRANSACTION: Final = 5

_LEAST_BATCH_BYTES: Final = 16_384


def run_worker(settings: WorkerSettings) -> int:
    """Run a worker in this process until SIGTERM or SIGINT, and return the exit code.

    Call it from the main thread, once a process: it takes over signals and logging. If the deadline for stopping
    passes, it does not return: the process leaves at once.
    """
    configure_logging(level=settings.log_level, log_format=settings.log_format)
    return_memory_early()
    if not is_registry_uri(settings.model):
        keep_pandas_out()
    keep_scipy_out_of_numba()
    try:
        processor, ready = _prepare(settings)
    except SortlineError as error:
        log.error("worker cannot start", extra={"reason": str(error)})  # noqa: TRY400  # the sentence says it all
        return error.exit_code
    # Not below the floor: a limit that is lowered for a moment is read only now, and would cost a round trip for
    # every few records as long as the worker runs. Larger batches are refused once, and then sent in halves.
    batch_bytes = max(_LEAST_BATCH_BYTES, min(settings.max_batch_bytes, ready.max_batch_bytes))
    # Not on uvloop: writing to a connection that the broker just closed raises RuntimeError there, which aiokafka
    # (0.14, its issue 1038) does not expect: its task that fetches metadata ends, and the producer waits for ever.
    return asyncio.run(_serve(replace(settings, max_batch_bytes=batch_bytes), processor, ready))


def _prepare(settings: WorkerSettings) -> tuple[SliceProcessor, Ready]:
    """Load and warm the model, and wait for everything that the worker needs."""
    require_free_port(settings.web_host, settings.web_port)
    compile_if_cold()
    model, registered_version = open_model(settings.model, settings.tracking_uri)
    classifier = model.classifier
    registry = ConfluentRegistry(settings.registry_url)
    ready = wait_until_ready(
        broker=KafkaBroker(settings.bootstrap),
        registry=registry,
        names=settings.topics,
        deadline_seconds=settings.startup_seconds,
    )
    schema = load_schema("product_categorized")
    encoder = Encoder(schema, ready.categorized_id)
    is_same = ready.review_id == ready.categorized_id
    processor = SliceProcessor(
        decoder=Decoder(registry, load_schema("product_created"), columns.PRODUCT),
        classifier=classifier,
        registered_version=registered_version,
        encoder=encoder,
        review_encoder=None if is_same else Encoder(schema, ready.review_id),
        group_id=settings.group_id,
        now_ms=now_ms,
        dialect=settings.dead_letter_dialect,
    )
    # The first slice must not wait for code to be compiled while the group waits for a heartbeat.
    warm_up(processor, registry, settings.topics.created)
    let_go_of_code()
    trees = classifier.trees
    log.info(
        "model loaded",
        extra={
            "model_name": classifier.name,
            "model_version": classifier.version,
            "registered_version": registered_version,
            "tree_scorer": trees.scorer,
        },
    )
    if trees.fallback_reason:
        log.warning("trees are scored by LightGBM, more slowly", extra={"reason": trees.fallback_reason})
    return processor, ready


def require_free_port(host: str, port: int) -> None:
    """Raise SetupError if the pages cannot be served there: after joining the group it would be too late."""
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise SetupError(
            f"port {port} on {host} cannot be opened for /health and /ready ({error.strerror}): "
            "choose another with the setting web_port, one for each worker of a machine"
        ) from error


async def _serve(settings: WorkerSettings, processor: SliceProcessor, ready: Ready) -> int:
    """Run the app until it crashes or a signal comes; return the exit code."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    counters = Counters()
    swap_encoder = Encoder(load_schema("model_swap"), ready.swaps_id)
    app = build_app(settings, processor, swap_encoder=swap_encoder, counters=counters)
    follow_model(app, settings, processor, counters)
    log.info("worker starting", extra={"group_id": settings.group_id, "model": settings.model})
    error = await _run_until_told(app, told)
    code = _exit_code(error)
    with deadline(settings.shutdown_seconds, exit_code=EXIT_DEADLINE if error is None else code):
        log.info("worker stopping", extra={"deadline_seconds": settings.shutdown_seconds})
        await app.stop()
    code = code or _exit_code(app.crash_reason)
    log.info("worker stopped", extra={"exit_code": code})
    return code


async def _run_until_told(app: faust.App, told: asyncio.Event) -> BaseException | None:
    """Start the app and wait; return why it cannot go on, or None if it was told to stop."""
    starting = asyncio.ensure_future(app.start())
    ended = asyncio.ensure_future(app.wait_until_stopped())
    told_to_stop = asyncio.ensure_future(told.wait())
    await asyncio.wait({starting, ended, told_to_stop}, return_when=asyncio.FIRST_COMPLETED)
    if starting.done() and starting.exception() is None:
        await asyncio.wait({ended, told_to_stop}, return_when=asyncio.FIRST_COMPLETED)
    error = starting.exception() if starting.done() else None
    for task in (starting, ended, told_to_stop):
        task.cancel()
    await asyncio.gather(starting, ended, told_to_stop, return_exceptions=True)
    return error or app.crash_reason


def _exit_code(error: BaseException | None) -> int:
    if error is None:
        return EXIT_CLEAN
    if isinstance(error, StreamHaltedError):
        log.error("stream halted", extra={"reason": str(error)})
        return EXIT_HALTED
    if isinstance(error, TransactionLostError):
        log.error("transaction lost", extra={"reason": str(error)})
        return EXIT_TRANSACTION
    if isinstance(error, (SetupError, DependencyUnavailableError)):
        log.error("worker cannot go on", extra={"reason": str(error)})
        return error.exit_code
    log.error("worker crashed", exc_info=error)
    return EXIT_CRASHED
