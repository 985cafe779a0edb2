"""A gateway process: load the model, listen, answer until told to stop.

Exit codes:

    0  stopped as told, with every request in flight answered
    2  the set-up is wrong (settings, port, model); starting again does not help
    4  told to stop, and not done within the deadline; the requests that were left got no answer

Where the model is kept does not answer at the start: 1, start it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from typing import Final

import uvicorn
from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware

from gateway.app import Parts, create_app
from gateway.deciding import decide
from gateway.following import Following
from gateway.guards import client_limits, guards
from gateway.health import Standing
from gateway.metrics import Metrics
from gateway.model_slot import ModelSlot
from gateway.predictions import Deciders
from gateway.product_writer import WAIT_SECONDS, KafkaProductWriter
from gateway.products import Product
from gateway.publishing import Publisher, publishing_router
from gateway.settings import GatewaySettings
from gateway.slow_clients import guarded_protocol
from models.serving.follower import ModelFollower
from models.serving.store import followed, open_model
from models.serving.try_out import try_out
from schemas.errors import SetupError
from schemas.registry import ConfluentRegistry

log = logging.getLogger(__name__)

EXIT_CLEAN: Final = 0
EXIT_DEADLINE: Final = 4

_BACKLOG: Final = 2_048
_MADE_UP: Final[list[Product]] = [{"product_id": "warm-up", "title": "Kettle", "currency": "EUR", "rating": 4.5}]


def run_gateway(
    settings: GatewaySettings, *, routers: Sequence[APIRouter] = (), middlewares: Sequence[Middleware] = ()
) -> int:
    """Run a gateway in this process until SIGTERM or SIGINT, and return the exit code.

    Call it from the main thread, once a process: it takes over signals. Logging is the caller's. Raises SetupError
    if the port cannot be opened, the keys cannot be read or there is no such model, BundleError if the model
    cannot be trusted, and DependencyUnavailableError if MLflow does not answer.
    """
    listener = listen(settings.host, settings.port)
    with contextlib.closing(listener):
        model, registered_version = open_model(settings.model, settings.tracking_uri)
        try_out(model)
        slot = ModelSlot(model, registered_version)
        decide(_MADE_UP, slot)  # the checks are compiled, too, before the first request
        metrics = Metrics(slot)
        deciders = Deciders(slot, metrics, max_batch=settings.max_batch)
        around = [*guards(settings), *middlewares]
        writer = _writer(settings)
        if writer is not None:
            publisher = Publisher(writer, registry=metrics.registry, max_batch=settings.max_batch)
            routers = [publishing_router(publisher), *routers]
        parts = Parts(slot=slot, metrics=metrics, deciders=deciders, routers=routers, middlewares=around)
        _spare_the_collector()
        log.info(
            "model loaded",
            extra={
                "model_name": model.name,
                "model_version": model.version,
                "registered_version": registered_version,
                "tree_scorer": model.classifier.trees.scorer,
            },
        )
        with contextlib.closing(deciders), _following(settings, slot, metrics):
            app = create_app(parts)
            return asyncio.run(serve_until_told(app, listener, parts.standing, settings, writer))


def listen(host: str, port: int) -> socket.socket:
    """Return the socket that the port is bound to; port 0 is a free one. Raises SetupError if it cannot be had."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise SetupError(
            f"port {port} on {host} cannot be opened ({reason}): choose another with --host and --port"
        ) from error
    # Connections inherit it. Without it the end of an answer waits 40 ms, until the client acknowledges. asyncio
    # sets it on sockets that say that they are TCP, which `create_server`'s do not.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _spare_the_collector() -> None:
    """Leave what is loaded by now out of garbage collection, and look for garbage more rarely.

    A batch of 1,000 is some 10,000 objects, none of them in a cycle. With Python's thresholds it starts ten
    collections, some of everything that was imported: writing its decisions took 14 us a product instead of 2.7.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


async def serve_until_told(
    app: FastAPI,
    listener: socket.socket,
    standing: Standing,
    settings: GatewaySettings,
    writer: KafkaProductWriter | None = None,
) -> int:
    """Answer on the socket until SIGTERM or SIGINT, and return the exit code; call it in the main thread."""
    config = uvicorn.Config(
        app,
        http=guarded_protocol(client_limits(settings)),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_seconds)),
    )
    server = _Server(config, standing)
    host, port = listener.getsockname()[:2]
    log.info("gateway listening", extra={"host": host, "port": port})
    async with contextlib.nullcontext() if writer is None else writer.running():
        await server.serve(sockets=[listener])
    code = EXIT_DEADLINE if server.is_late(settings.shutdown_seconds) else EXIT_CLEAN
    log.info("gateway stopped", extra={"exit_code": code})
    return code


def _writer(settings: GatewaySettings) -> KafkaProductWriter | None:
    """Return what publishes products, where Kafka is named."""
    if settings.bootstrap is None:
        return None
    registry = ConfluentRegistry(settings.registry_url, timeout_seconds=WAIT_SECONDS)
    return KafkaProductWriter(topic=settings.created_topic, bootstrap=settings.bootstrap, registry=registry)


class _Server(uvicorn.Server):
    """uvicorn's, but a signal does not end the process once more when all is done: the exit code tells how."""

    def __init__(self, config: uvicorn.Config, standing: Standing) -> None:
        super().__init__(config)
        self._standing = standing
        self._told_at: float | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM and SIGINT while the block runs."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def is_late(self, seconds: float) -> bool:
        """Return whether it took longer to stop than it may."""
        return self._told_at is not None and time.monotonic() - self._told_at >= seconds

    def _stop(self) -> None:
        if self._told_at is None:
            log.info("gateway stopping", extra={"deadline_seconds": self.config.timeout_graceful_shutdown})
            self._told_at = time.monotonic()
        self._standing.is_stopping = True
        self.should_exit = True


@contextlib.contextmanager
def _following(settings: GatewaySettings, slot: ModelSlot, metrics: Metrics) -> Iterator[None]:
    """Follow the model's alias while the block runs, if it is named by one."""
    store = followed(settings.model, settings.tracking_uri)
    if store is None:
        yield
        return
    following = Following(
        ModelFollower(
            store=store,
            server=slot,
            try_out=try_out,
            counters=metrics,
            poll_seconds=settings.model_poll_seconds,
        )
    )
    following.start()
    try:
        yield
    finally:
        following.stop()
