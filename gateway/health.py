"""`/health`, `/ready` and `/metrics`: how the gateway does.

- `/health`: 200 as long as the event loop turns. For a supervisor that restarts what hangs.
- `/ready`: 200 if a model is loaded and tried out and the gateway is not stopping; otherwise 503.
- `/metrics`: for Prometheus.
"""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.responses import PlainTextResponse, Response

from gateway.api_document import problems_of
from gateway.metrics import Metrics
from gateway.model_slot import ModelSlot
from gateway.problems import stopping


class Standing:
    """Whether the gateway is stopping, as `/ready` tells it."""

    def __init__(self) -> None:
        self.is_stopping = False


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """Requests will be answered."""

    ready: Literal[True] = True
    model: str
    version: str


def health_router(slot: ModelSlot, metrics: Metrics, standing: Standing) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["Health"])

    @router.get("/health", summary="Is it alive?")
    async def health() -> Health:
        """Answer 200 as long as the process turns."""
        return Health()

    @router.get("/ready", summary="Can it decide?", responses=problems_of(503))
    async def ready() -> Ready:
        """Answer 200 once the model is loaded and has decided on made-up products, and 503 while it stops."""
        if standing.is_stopping:
            raise stopping()
        stamp = slot.model
        return Ready(model=stamp.name, version=stamp.version)

    @router.get("/metrics", summary="Metrics for Prometheus", response_class=PlainTextResponse)
    async def prometheus() -> Response:
        """Answer requests, products and swaps of the model since the start, in Prometheus' text format."""
        return Response(metrics.as_text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return router
