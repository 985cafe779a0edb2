"""Connections that cost a server more than their clients: too many, too slow, or never read from.

Uvicorn ends a connection that is idle between two requests, but waits for ever for the first byte, for the end of
a request's headers, and for a client that does not read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final, cast

from pydantic_core import to_json
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.problems import PROBLEM_JSON, problem


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLimits:
    """What connections must keep to.

    Attributes:
        header_seconds: from the first byte of a request, or from the connection, to the end of its headers.
        header_bytes: the most that headers may have.
        write_seconds: how long a client may leave an answer unread.
        max_connections: open ones; further ones are told to come again.
    """

    header_seconds: float = 10.0
    header_bytes: int = 64 << 10
    write_seconds: float = 20.0
    max_connections: int = 1_000


def guarded_protocol(limits: ClientLimits) -> type[asyncio.Protocol]:
    """Return what `uvicorn.Config(http=...)` takes: uvicorn's own protocol, within these limits."""
    return cast("type[asyncio.Protocol]", partial(GuardedConnection, limits))


_TOO_MANY: Final = problem(
    "too-many-connections",
    "Too many connections",
    503,
    "too many connections are open: try again in a second, and use connections again",
)
_SLOW_HEADERS: Final = problem(
    "headers-too-slow", "The headers came too slowly", 408, "the headers came too slowly: send the request again"
)
_LARGE_HEADERS: Final = problem(
    "headers-too-large", "The headers are too large", 431, "the request's headers are too large: send fewer"
)


class GuardedConnection(asyncio.Protocol):
    """Passes everything to uvicorn's protocol, and looks at its clock."""

    def __init__(
        self,
        limits: ClientLimits,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._limits = limits
        self._open = server_state.connections
        self._loop = _loop or asyncio.get_running_loop()
        self._inner = HttpToolsProtocol(config, server_state, app_state, self._loop)
        self._transport: asyncio.Transport | None = None
        self._header_timer: asyncio.TimerHandle | None = None
        self._header_bytes = 0
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection, or tell it that there are too many."""
        transport = cast("asyncio.Transport", transport)  # that of TCP
        # Any byte that the kernel does not take at once starts the clock for the client.
        transport.set_write_buffer_limits(high=0)
        if len(self._open) >= self._limits.max_connections:
            _answer_and_close(transport, _TOO_MANY, {"retry-after": "1"})
            return
        self._transport = transport
        self._inner.connection_made(transport)
        self._start_header_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        self._stop_header_timer()
        self.resume_writing()
        if self._transport is not None:
            self._inner.connection_lost(exc)
            self._transport = None

    def data_received(self, data: bytes) -> None:
        """Pass bytes on, and see whether a request's headers have come to their end."""
        if self._transport is None or self._transport.is_closing():
            return
        self._inner.data_received(data)
        cycle = self._inner.cycle  # one request and its response; None before the first
        if cycle is not None and not cycle.response_complete:
            self._stop_header_timer()
            return
        self._header_bytes += len(data)
        if self._header_bytes > self._limits.header_bytes and not self._transport.is_closing():
            _answer_and_close(self._transport, _LARGE_HEADERS)
        elif self._header_timer is None:
            self._start_header_timer()

    def eof_received(self) -> None:
        """Pass on that the client sends no more."""
        if self._transport is not None:
            self._inner.eof_received()

    def pause_writing(self) -> None:
        """The client does not read as fast as it is answered."""
        if self._transport is None:
            return
        self._write_timer = self._loop.call_later(self._limits.write_seconds, self._transport.abort)
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """The client has read all there was."""
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
            self._inner.resume_writing()

    def _start_header_timer(self) -> None:
        self._header_timer = self._loop.call_later(self._limits.header_seconds, self._close_slow)

    def _stop_header_timer(self) -> None:
        self._header_bytes = 0
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _close_slow(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._header_bytes:
            _answer_and_close(self._transport, _SLOW_HEADERS)
        else:  # it has asked nothing, so an answer would be taken for that to its next request
            self._transport.close()


def _answer_and_close(
    transport: asyncio.Transport, answer: Mapping[str, Any], headers: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Answer without uvicorn, which has no request to answer, or does not know of the connection."""
    body = to_json(answer)
    status = HTTPStatus(answer["status"])
    fields = {"content-type": PROBLEM_JSON, "content-length": str(len(body)), "connection": "close", **headers}
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {value}" for name, value in fields.items())]
    transport.write("\r\n".join([*lines, "", ""]).encode() + body)
    transport.close()
