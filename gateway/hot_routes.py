"""Routes that are called without FastAPI's way to them, which takes longer than a decision does."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.problems import ProblemError, problem_response


class HotRoutes:
    """Middleware that calls the functions of some routes itself and leaves all other requests to the app.

    The routes are those of the app: it describes them, and answers other methods. They take the request as their
    only argument, return a response, and have no parameters in their path.
    """

    def __init__(self, app: ASGIApp, *, routes: Sequence[BaseRoute]) -> None:
        self._app = app
        self._routes = {
            (method, route.path): route
            for route in routes
            if isinstance(route, APIRoute)
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection as ASGI wants it."""
        route = self._routes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = route  # as the app's own router tells it
        try:
            response = await route.endpoint(Request(scope, receive))
        except ProblemError as error:
            response = problem_response(route.path, error.problem, error.headers)
        await response(scope, receive, send)
