"""The floor over HTTP: the gateway's server and parser, a body read, an answer of the same size, no work."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

_ANSWER = b" " * 700  # what the answer to one product takes
_ANSWER_TO_100 = _ANSWER * 70  # names of the model are in it once
_HEADERS = (b"content-type", b"application/json")


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Answer any request."""
    while (await receive()).get("more_body"):
        pass
    answer = _ANSWER_TO_100 if scope["path"].endswith("batch") else _ANSWER
    length = (b"content-length", str(len(answer)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [_HEADERS, length]})
    await send({"type": "http.response.body", "body": answer})


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), http="httptools", lifespan="off", ws="none", access_log=False)
