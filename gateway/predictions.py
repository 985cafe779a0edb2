"""`POST /predict` and `POST /predict/batch`: decisions on products."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from fastapi import APIRouter
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from gateway.access import charge
from gateway.answers import BatchPrediction, Prediction
from gateway.api_document import body_of, problems_of
from gateway.bodies import Products, json_body, read_product, read_products
from gateway.checking import Refused
from gateway.deciding import Decided, Outcome, decide
from gateway.metrics import Metrics
from gateway.micro_batches import MicroBatches
from gateway.model_slot import ModelSlot, SlottedModel
from gateway.problems import ProblemError
from gateway.products import Product

_JSON: Final = "application/json"

#: What is decided on in the event loop: it takes some 2 ms then, and every other request waits for so long.
_LIGHT_PRODUCTS: Final = 200
_LIGHT_CHARACTERS: Final = 16_384


class Deciders:
    """What decides: the event loop what is light, and two threads the rest.

    One of them is for single products, one for batches, which would keep the others waiting.

    Args:
        slot: the model.
        metrics: count what became of products.
        max_batch: most products of one request.
    """

    def __init__(self, slot: ModelSlot, metrics: Metrics, *, max_batch: int) -> None:
        self._slot = slot
        self._metrics = metrics
        self.max_batch = max_batch
        self._single = ThreadPoolExecutor(1, thread_name_prefix="single")
        self._batches = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._together: MicroBatches[Product, tuple[Outcome, SlottedModel]] = MicroBatches(
            self._decide_together, self._single, is_light=_is_light
        )

    async def one(self, product: Product) -> dict[str, Any]:
        """Return the `Prediction` of a product. Raises ProblemError if it is refused."""
        outcome, by = await self._together.submit(product)
        self._count([outcome])
        if isinstance(outcome, Refused):
            raise ProblemError(outcome.problem)
        return {**outcome, "model": by.told}

    async def several(self, products: Sequence[Product]) -> Decided:
        """Decide on products of one request."""
        if _is_light(products):
            decided = decide(products, self._slot)
        else:
            loop = asyncio.get_running_loop()
            decided = await loop.run_in_executor(self._batches, decide, products, self._slot)
        self._count(decided.outcomes)
        return decided

    def count_refused(self, n: int) -> None:
        """Count products that could not even be read."""
        self._metrics.products.labels("refused").inc(n)

    def close(self) -> None:
        """Let the threads end."""
        for executor in (self._single, self._batches):
            executor.shutdown(wait=False, cancel_futures=True)

    def _decide_together(self, products: Sequence[Product]) -> list[tuple[Outcome, SlottedModel]]:
        self._metrics.batch_sizes.observe(len(products))
        decided = decide(products, self._slot)
        return [(outcome, decided.by) for outcome in decided.outcomes]

    def _count(self, outcomes: Sequence[Outcome]) -> None:
        found = Counter("refused" if isinstance(one, Refused) else one["decision"] for one in outcomes)
        for outcome, n in found.items():
            self._metrics.products.labels(outcome).inc(n)


def _is_light(products: Sequence[Product]) -> bool:
    if len(products) > _LIGHT_PRODUCTS:
        return False
    n_characters = sum(len(value) for product in products for value in product.values() if isinstance(value, str))
    return n_characters <= _LIGHT_CHARACTERS


def predictions_router(deciders: Deciders) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["Predictions"])

    @router.post(
        "/predict",
        summary="Decide on one product",
        response_model=Prediction,
        responses=problems_of(400, 413, 415, 422, 503),
        openapi_extra=body_of(Product),
    )
    async def predict(request: Request) -> Response:
        """Answer what the stream would publish of this product, bit for bit.

        Products of concurrent requests are decided on together; what is answered does not depend on it.
        """
        body = await json_body(request)
        try:
            product = read_product(body)
        except ProblemError:
            deciders.count_refused(1)
            raise
        return Response(to_json(await deciders.one(product)), media_type=_JSON)

    @router.post(
        "/predict/batch",
        summary="Decide on several products",
        response_model=BatchPrediction,
        responses=problems_of(400, 413, 415, 422, 503),
        openapi_extra=body_of(Products),
    )
    async def predict_batch(request: Request) -> Response:
        """Answer in the order of the products; one that is not valid has an `error` in its place.

        The status is 200 also if some or all have one. All are decided on by the same model.
        """
        found = read_products(await json_body(request), deciders.max_batch)
        charge(request.scope, len(found))
        products = [one for one in found if not isinstance(one, Refused)]
        deciders.count_refused(len(found) - len(products))
        decided = await deciders.several(products)
        rest = iter(decided.outcomes)
        results = [one if isinstance(one, Refused) else next(rest) for one in found]
        body = {
            "results": [{"error": one.problem} if isinstance(one, Refused) else one for one in results],
            "model": decided.by.told,
        }
        return Response(to_json(body), media_type=_JSON)

    return router
