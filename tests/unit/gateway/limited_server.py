"""A server as `sortline serve` runs it, with limits that a test can wait for: prints its port, then serves."""

from __future__ import annotations

import asyncio
import socket

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from gateway.guards import client_limits, guards
from gateway.settings import GatewaySettings
from gateway.slow_clients import guarded_protocol

MAX_BODY_BYTES = 2 << 20
MAX_CONNECTIONS = 8
MUCH_BYTES = 16 << 20


async def count(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


async def much(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("x" * MUCH_BYTES)


def main() -> None:
    settings = GatewaySettings(
        model="none",
        max_body_bytes=MAX_BODY_BYTES,
        max_connections=MAX_CONNECTIONS,
        header_seconds=0.4,
        body_seconds=0.4,
        write_seconds=0.4,
    )
    app = Starlette(
        routes=[Route("/count", count, methods=["POST"]), Route("/much", much)], middleware=guards(settings)
    )
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)  # noqa: T201 - how the test learns it
    config = uvicorn.Config(
        app,
        http=guarded_protocol(client_limits(settings)),
        ws="none",
        lifespan="off",
        log_level="warning",
        timeout_keep_alive=settings.keep_alive_seconds,
    )
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


if __name__ == "__main__":
    main()
