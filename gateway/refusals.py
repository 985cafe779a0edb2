"""Answers to requests whose body nobody wants: heard by the client, whatever it is still sending."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.types import Receive, Scope, Send

from gateway.problems import ProblemError, problem_response

#: A body up to this size is read and thrown away, so that the connection can be used again.
_DISCARDED_BYTES: Final = 1 << 20
_DISCARD_SECONDS: Final = 1.0
#: So long a client that is still sending may go on after the answer. Closed at once, its kernel would be told that
#: what it sends is lost, and throw away the answer unread.
_LINGER_SECONDS: Final = 2.0


def request_header(scope: Scope, name: bytes) -> bytes | None:
    """Return a request's header by its name in lower case, the first if there are several."""
    return next((value for found, value in scope["headers"] if found == name), None)


def announced_bytes(scope: Scope) -> int | None:
    """Return how many bytes of body a request announces; None if they come in chunks, their number unknown."""
    if request_header(scope, b"transfer-encoding") is not None:
        return None
    return int(request_header(scope, b"content-length") or 0)  # a server takes digits only


async def refuse(
    scope: Scope, receive: Receive, send: Send, error: ProblemError, *, hears_out: bool = True
) -> None:
    """Answer with a problem instead of asking the application; the rest of the body is never held in memory.

    The connection is closed afterwards unless the body was small and has come. `hears_out` is False for a client
    that has been waited for long enough.
    """
    announced = announced_bytes(scope)
    is_read = announced == 0
    asks_before = request_header(scope, b"expect") is not None  # and shall not send it then
    if hears_out and announced is not None and 0 < announced <= _DISCARDED_BYTES and not asks_before:
        is_read = await _discard(receive, _DISCARD_SECONDS)
    answer = problem_response(scope["path"], error.problem, error.headers)
    if not is_read:
        answer.headers["connection"] = "close"
    await send({"type": "http.response.start", "status": answer.status_code, "headers": answer.raw_headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": True})
    if hears_out and not is_read:
        await _discard(receive, _LINGER_SECONDS)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _discard(receive: Receive, seconds: float) -> bool:
    """Throw a body away for at most so long; tell whether all of it has come."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return False
                if not message.get("more_body", False):
                    return True
    except TimeoutError:
        return False
