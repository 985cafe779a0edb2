"""Request bodies: at most so large, and not slower than a modem."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.problems import ProblemError, problem
from gateway.refusals import announced_bytes, refuse

MAX_BODY_BYTES: Final = 2 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyLimits:
    """What a request's body must keep to.

    Attributes:
        max_bytes: of one body; a larger one is answered with 413.
        max_held_bytes: of all bodies together that have come but in part; beyond it requests get 503.
        grace_seconds: a body may take so long, and
        bytes_per_second: a second more for each so many bytes that have come. A slower one is answered with 408.
    """

    max_bytes: int = MAX_BODY_BYTES
    max_held_bytes: int = 64 * MAX_BODY_BYTES
    grace_seconds: float = 10.0
    bytes_per_second: int = 16 << 10


class BodyLimitsMiddleware:
    """Reads each body as a whole before the application is asked, which so never waits for a client.

    A body that is announced as too large is refused before any of it is read, one that turns out to be where it
    passes the limit.
    """

    def __init__(self, app: ASGIApp, *, limits: BodyLimits) -> None:
        self._app = app
        self._limits = limits
        self._held_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection as ASGI wants it."""
        announced = announced_bytes(scope) if scope["type"] == "http" else 0
        if announced == 0:
            await self._app(scope, receive, send)
            return
        if announced is not None and announced > self._limits.max_bytes:
            await refuse(scope, receive, send, self._too_large())
            return
        body = bytearray()
        try:
            refusal = await self._read(body, receive)
            if refusal is None:
                await self._app(scope, _Replayed(bytes(body), receive), send)
            elif refusal is not _GONE:
                await refuse(scope, receive, send, refusal, hears_out=refusal is not _TOO_SLOW)
        finally:
            self._held_bytes -= len(body)

    async def _read(self, body: bytearray, receive: Receive) -> ProblemError | None:
        """Fill `body`, counting it; return why it is refused, if it is."""
        limits = self._limits
        try:
            async with asyncio.timeout(limits.grace_seconds) as deadline:
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        return _GONE
                    chunk = message.get("body", b"")
                    if len(body) + len(chunk) > limits.max_bytes:
                        return self._too_large()
                    if self._held_bytes + len(chunk) > limits.max_held_bytes:
                        return _BUSY
                    body += chunk
                    self._held_bytes += len(chunk)
                    if not message.get("more_body", False):
                        return None
                    when = deadline.when()
                    assert when is not None
                    deadline.reschedule(when + len(chunk) / limits.bytes_per_second)
        except TimeoutError:
            return _TOO_SLOW

    def _too_large(self) -> ProblemError:
        detail = f"the body is larger than {self._limits.max_bytes:,} bytes: send fewer products at once"
        return ProblemError(problem("body-too-large", "The body is too large", 413, detail))


_GONE: Final = ProblemError(problem("gone", "The client is gone", 400, ""))  # never sent: nobody is there
_TOO_SLOW: Final = ProblemError(
    problem("body-too-slow", "The body came too slowly", 408, "the body came too slowly: send the request again")
)
_BUSY: Final = ProblemError(
    problem("busy", "Too many requests", 503, "too many requests are being received: try again in a second"),
    {"Retry-After": "1"},
)


class _Replayed:
    """Gives the application the body that was read, and afterwards what the server has to say."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}
