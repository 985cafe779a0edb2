"""Load over HTTP: connections that each send a request, wait for its answer, and send the next.

The load is closed, so a slow server gets fewer requests, and its latency is that of so many callers at once. The
connections live in a process of their own. HTTP/1.1, keep-alive; of an answer the status and the length are looked
at and the rest is thrown away.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

HOST: Final = "127.0.0.1"
_END_OF_HEAD: Final = b"\r\n\r\n"
_OK: Final = b"HTTP/1.1 200 "
_LENGTH: Final = b"\r\ncontent-length:"
#: No answer takes so long that it says something about the server.
_PATIENCE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is asked of a server.

    Attributes:
        connections: at the same time.
        seconds: that are measured, after `warm_up_seconds` that are not.
    """

    connections: int
    seconds: float
    warm_up_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What came of it.

    Attributes:
        milliseconds: of each request that was begun and answered in the measured time, in no order.
        n_all: requests answered, the warm-up included.
    """

    milliseconds: npt.NDArray[np.float64]
    n_all: int


ApplyLoad = Callable[[int, Sequence[bytes], Load], Answered]


def request(path: str, body: bytes) -> bytes:
    """Return a POST request as it goes over the wire."""
    lines = (
        f"POST {path} HTTP/1.1",
        f"Host: {HOST}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join([*lines, "", ""]).encode() + body


@contextlib.contextmanager
def generator() -> Iterator[ApplyLoad]:
    """Give `apply_load` of a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as elsewhere:
        yield lambda port, requests, load: elsewhere.submit(apply_load, port, requests, load).result()


def apply_load(port: int, requests: Sequence[bytes], load: Load) -> Answered:
    """Send the requests to a port of this machine, over and over, and return how long answers took.

    Raises SystemExit if a request is not answered with 200.
    """
    try:
        return asyncio.run(_apply(port, requests, load))
    except _NotAnsweredError as error:
        raise SystemExit(str(error)) from error


class _NotAnsweredError(Exception):
    """What is measured did not work."""


async def _apply(port: int, requests: Sequence[bytes], load: Load) -> Answered:
    loop = asyncio.get_running_loop()
    begin = time.perf_counter() + load.warm_up_seconds
    each = itertools.cycle(requests)
    opened = [
        await loop.create_connection(lambda: _Connection(each, begin, begin + load.seconds), HOST, port)
        for _ in range(load.connections)
    ]
    connections = [connection for _, connection in opened]
    try:
        async with asyncio.timeout(load.warm_up_seconds + load.seconds + _PATIENCE_SECONDS):
            await asyncio.gather(*(connection.done for connection in connections))
    except TimeoutError:
        raise _NotAnsweredError(f"a request was not answered within {_PATIENCE_SECONDS:.0f} s") from None
    finally:
        for transport, _ in opened:
            transport.close()
        await asyncio.gather(*(connection.closed for connection in connections))
    times = np.concatenate([np.array(connection.times, np.float64) for connection in connections])
    return Answered(milliseconds=times * 1_000, n_all=sum(connection.n_all for connection in connections))


class _Connection(asyncio.Protocol):
    """Sends a request, waits for the answer, sends the next."""

    def __init__(self, requests: Iterator[bytes], begin: float, end: float) -> None:
        loop = asyncio.get_running_loop()
        self.times: list[float] = []
        self.n_all = 0
        self.done: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self._requests = requests
        self._begin, self._end = begin, end
        self._received = bytearray()
        self._sent_at = 0.0
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head = self._received.find(_END_OF_HEAD)
        if head < 0 or self.done.done():
            return
        lines = bytes(self._received[:head]).lower()
        at = lines.find(_LENGTH)
        if not self._received.startswith(_OK) or at < 0:
            self._fail(f"an answer is not what is measured: {bytes(self._received[:500])!r}")
            return
        length = int(lines[at + len(_LENGTH) :].partition(b"\r")[0])
        if len(self._received) < head + len(_END_OF_HEAD) + length:
            return
        now = time.perf_counter()
        self.n_all += 1
        if self._sent_at >= self._begin and now <= self._end:
            self.times.append(now - self._sent_at)
        self._received.clear()
        if now < self._end:
            self._send()
        else:
            self.done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(f"the server closed a connection ({error})")
        self.closed.set_result(None)

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(next(self._requests))

    def _fail(self, sentence: str) -> None:
        if not self.done.done():
            self.done.set_exception(_NotAnsweredError(sentence))
