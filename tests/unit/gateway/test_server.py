"""The process: sockets, signals and exit codes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pyarrow as pa
import pytest

from gateway.server import EXIT_CLEAN, EXIT_DEADLINE, listen, serve_until_told
from gateway.settings import GatewaySettings
from schemas.errors import SetupError
from schemas.stages import StageClock
from tests.unit.gateway.conftest import Gateway, product
from tests.unit.streams.conftest import TitleClassifier

#: What takes long is decided on in a thread: the event loop goes on.
LONG = product(description="A lamp. " * 4_000)


class SlowClassifier(TitleClassifier):
    """Decides once its gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.begun = threading.Event()

    def classify(self, products: pa.RecordBatch, clock: StageClock | None = None) -> pa.RecordBatch:
        self.begun.set()
        assert self.gate.wait(30)
        return super().classify(products, clock)


@pytest.fixture
def titles() -> SlowClassifier:
    return SlowClassifier()


@asynccontextmanager
async def running(gateway: Gateway, shutdown_seconds: float) -> AsyncIterator[tuple[str, asyncio.Task[int]]]:
    """Serve on a real socket; yields the address and the task that returns the exit code."""
    settings = GatewaySettings(model="is loaded", shutdown_seconds=shutdown_seconds)
    listener = listen("127.0.0.1", 0)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = asyncio.create_task(serve_until_told(gateway.app, listener, gateway.parts.standing, settings))
    yield address, server
    if not server.done():
        os.kill(os.getpid(), signal.SIGTERM)
        await server
    listener.close()


async def test_sigterm_answers_what_is_in_flight_and_refuses_what_is_new(
    by_title: Gateway, titles: SlowClassifier
) -> None:
    async with running(by_title, 20.0) as (address, server), httpx.AsyncClient() as client:
        in_flight = asyncio.create_task(client.post(f"{address}/predict", json=LONG, timeout=30))
        assert await asyncio.to_thread(titles.begun.wait, 30)
        os.kill(os.getpid(), signal.SIGTERM)
        await until_refused(address)
        assert not in_flight.done()
        titles.gate.set()
        answer = await in_flight
        assert (answer.status_code, answer.json()["product_id"]) == (200, "p-1")
        assert await server == EXIT_CLEAN
        assert by_title.parts.standing.is_stopping


async def test_a_second_signal_does_not_lose_what_is_in_flight(by_title: Gateway, titles: SlowClassifier) -> None:
    async with running(by_title, 20.0) as (address, server), httpx.AsyncClient() as client:
        in_flight = asyncio.create_task(client.post(f"{address}/predict", json=LONG, timeout=30))
        assert await asyncio.to_thread(titles.begun.wait, 30)
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            await until_refused(address)
        titles.gate.set()
        assert (await in_flight).status_code == 200
        assert await server == EXIT_CLEAN


async def test_what_takes_longer_than_the_deadline_is_left_and_the_exit_code_says_so(
    by_title: Gateway, titles: SlowClassifier
) -> None:
    async with running(by_title, 1.0) as (address, server), httpx.AsyncClient() as client:
        in_flight = asyncio.create_task(client.post(f"{address}/predict", json=LONG, timeout=30))
        assert await asyncio.to_thread(titles.begun.wait, 30)
        os.kill(os.getpid(), signal.SIGTERM)
        assert await server == EXIT_DEADLINE
        titles.gate.set()
        with pytest.raises(httpx.HTTPError):
            (await in_flight).raise_for_status()


async def until_refused(address: str) -> None:
    """Return once nobody listens any more; the test's own time limit ends it otherwise."""
    host, port = address.removeprefix("http://").split(":")
    while True:
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            return
        writer.close()
        await asyncio.sleep(0.01)


def test_a_port_that_is_taken_is_named_with_what_to_do() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(
            SetupError, match=r"cannot be opened \(Address already in use\): choose another with --host"
        ),
    ):
        listen("127.0.0.1", taken.getsockname()[1])


def test_an_address_that_is_not_of_this_machine_is_named(recwarn: pytest.WarningsRecorder) -> None:
    with pytest.raises(SetupError, match=r"port 0 on no\.such\.host\.invalid cannot be opened"):
        listen("no.such.host.invalid", 0)
    assert not recwarn.list


def test_no_answer_waits_for_the_client_s_acknowledgement() -> None:
    with (
        contextlib.closing(listen("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()),
        contextlib.closing(listener.accept()[0]) as connection,
    ):
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
