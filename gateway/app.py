"""The FastAPI app: parts in, routes out. Nothing is started here, and nothing is read from the environment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware import Middleware

from gateway.api_document import DESCRIPTION, TAGS, describe
from gateway.bodies import Products
from gateway.health import Standing, health_router
from gateway.hot_routes import HotRoutes
from gateway.inference_tensors import InferenceRequest
from gateway.metrics import Metrics, RequestTimes
from gateway.model_slot import ModelSlot
from gateway.open_inference import open_inference_router
from gateway.predictions import Deciders, predictions_router
from gateway.problems import handle_problems
from gateway.products import Product
from gateway.served import models_router


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What an app is made of.

    Attributes:
        slot: the model.
        metrics: of the process.
        deciders: the threads that decide.
        standing: whether it is stopping.
        routers: of pages beyond predictions, models and health.
        bodies: types that these routers declare with `body_of`.
        middlewares: around all pages, outermost first; request times are measured around them.
    """

    slot: ModelSlot
    metrics: Metrics
    deciders: Deciders
    standing: Standing = field(default_factory=Standing)
    routers: Sequence[APIRouter] = ()
    bodies: Sequence[Any] = ()
    middlewares: Sequence[Middleware] = ()


def create_app(parts: Parts) -> FastAPI:
    """Return the app. The interactive pages at /docs and /redoc need nothing from elsewhere."""
    predictions = predictions_router(parts.deciders)
    app = FastAPIOffline(
        title="sortline",
        version=version("sortline"),
        summary="Sorts products into categories.",
        description=DESCRIPTION,
        openapi_tags=TAGS,
        middleware=[
            Middleware(RequestTimes, metrics=parts.metrics),
            *parts.middlewares,
            Middleware(HotRoutes, routes=predictions.routes),
        ],
    )
    app.include_router(predictions)
    app.include_router(open_inference_router(parts.slot, parts.deciders, parts.standing))
    app.include_router(models_router(parts.slot))
    for router in parts.routers:
        app.include_router(router)
    app.include_router(health_router(parts.slot, parts.metrics, parts.standing))
    handle_problems(app)
    describe(app, (Product, Products, InferenceRequest, *parts.bodies))
    return app
