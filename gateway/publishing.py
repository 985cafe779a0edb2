"""`POST /products`, `DELETE /products/{product_id}`: products onto the stream's topic, each delivery confirmed."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import Counter as Tally
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path
from prometheus_client import CollectorRegistry, Counter
from pydantic import BaseModel, Field
from pydantic_core import from_json, to_json
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response

from gateway.access import charge
from gateway.api_document import body_of, problems_of
from gateway.bodies import Products, json_body, read_one_or_several
from gateway.checking import Refused, checked
from gateway.deliveries import Place, Undelivered
from gateway.problems import Problem, ProblemError, invalid_product, problem
from gateway.product_writer import ProductWriter
from gateway.products import Product
from schemas.cloudevents import TRACEPARENT
from schemas.errors import DependencyUnavailableError, SetupError
from schemas.validation import LARGEST_TEXT_BYTES

log = logging.getLogger(__name__)

_RETRY: Final = {"Retry-After": "2"}
#: As the W3C writes it: anything else belongs to no trace.
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class PublishedProduct(BaseModel):
    """A product that Kafka confirmed, and where it is."""

    product_id: str = Field(description="As sent; the record's key.")
    topic: str
    partition: int = Field(ge=0)
    offset: int = Field(ge=0)


class UnpublishedProduct(BaseModel):
    """A product of several that was not published, or not confirmed."""

    product_id: str | None = Field(description="As sent; null where there is none that can be told.")
    error: Problem


class Published(BaseModel):
    """What became of products, in their order."""

    published: list[PublishedProduct | UnpublishedProduct]


#: Where a product is, or why it is nowhere.
_Outcome = Place | Refused


class Publisher:
    """Checks products, publishes the valid ones, and counts what became of all.

    Args:
        writer: where they go.
        registry: of the metrics.
        max_batch: most products of one request.
    """

    def __init__(self, writer: ProductWriter, *, registry: CollectorRegistry, max_batch: int) -> None:
        self.max_batch = max_batch
        self._writer = writer
        self._published = Counter(
            "sortline_http_published_products",
            "Products to be published, by what became of them.",
            ("outcome",),
            registry=registry,
        )

    async def publish(self, products: Sequence[Product | Refused], traceparent: bytes | None) -> list[_Outcome]:
        """Return the outcome of each product, in order. Raises ProblemError if none can be published now."""
        readable = [one for one in products if not isinstance(one, Refused)]
        found = await asyncio.to_thread(checked, readable)
        outcomes: dict[int, _Outcome] = {**found.refused}
        if found.where:
            with _telling_what_is_away():
                written = await self._writer.publish(found.valid, traceparent)
            outcomes.update(zip(found.where, map(_outcome, written), strict=True))
        rest = (outcomes[at] for at in range(len(readable)))
        return self._counted([one if isinstance(one, Refused) else next(rest) for one in products])

    async def withdraw(self, product_id: str, traceparent: bytes | None) -> _Outcome:
        """Return where the tombstone is. Raises as `publish` does."""
        with _telling_what_is_away():
            written = await self._writer.withdraw(product_id, traceparent)
        return self._counted([_outcome(written)])[0]

    def _counted(self, outcomes: list[_Outcome]) -> list[_Outcome]:
        found = Tally(
            "published" if isinstance(one, Place) else "refused" if one.problem["status"] < 500 else "unconfirmed"
            for one in outcomes
        )
        for outcome, n in found.items():
            self._published.labels(outcome).inc(n)
        return outcomes


class _AnyText(PathConvertor):
    """The rest of a path, whatever it has in it: `path` would stop at the end of a line."""

    regex = r"[\s\S]*"


def publishing_router(publisher: Publisher) -> APIRouter:
    """Return the routes."""
    register_url_convertor("anytext", _AnyText())
    router = APIRouter(tags=["Publishing"])

    @router.post(
        "/products",
        status_code=202,
        summary="Publish products",
        response_model=Published,
        responses=problems_of(400, 413, 415, 422, 503),
        openapi_extra=body_of(Product, Products),
    )
    async def publish(request: Request) -> Response:
        """Publish a product, or several, for the stream to decide on; answer once Kafka has confirmed each.

        Of several, one that is not valid has an `error` in its place. If none was published the status is 422, or
        503 if some of them can be when they are sent again; either has the same list in `published`. A product
        that Kafka did not confirm may be there all the same: the confirmation may be what was lost.
        """
        body = await json_body(request)
        found, is_list = read_one_or_several(body, publisher.max_batch)
        charge(request.scope, len(found))
        outcomes = await publisher.publish(found, _traceparent(request))
        ids = _ids(found, body)
        if not is_list:
            return _answer_one(ids[0], outcomes[0])
        return _answer_several([_item(*pair) for pair in zip(ids, outcomes, strict=True)], outcomes)

    @router.delete(
        "/products/{product_id:anytext}",
        status_code=202,
        summary="Withdraw a product",
        response_model=Published,
        responses=problems_of(422, 503),
    )
    async def withdraw(
        product_id: Annotated[str, Path(description="The product's id.")], request: Request
    ) -> Response:
        """Publish a tombstone: the stream passes it on, so that the product's category is forgotten.

        The product need not be known here.
        """
        _require_key(product_id)
        return _answer_one(product_id, await publisher.withdraw(product_id, _traceparent(request)))

    return router


def _answer_one(product_id: str | None, outcome: _Outcome) -> Response:
    if isinstance(outcome, Refused):
        raise _error(outcome.problem)
    return _accepted([_item(product_id, outcome)])


def _answer_several(items: list[dict[str, Any]], outcomes: Sequence[_Outcome]) -> Response:
    refusals = [one.problem for one in outcomes if isinstance(one, Refused)]
    if len(refusals) < len(items):
        return _accepted(items)
    if any(refusal["status"] >= 500 for refusal in refusals):
        whole = problem(
            "not-confirmed", "No product was confirmed", 503, "Kafka confirmed no product: send them again"
        )
    else:
        detail = "no product is valid: `published` says what is wrong with each"
        whole = problem("invalid-products", "No product is valid", 422, detail)
    raise _error({**whole, "published": items})


def _accepted(items: list[dict[str, Any]]) -> Response:
    return Response(to_json({"published": items}), 202, media_type="application/json")


def _ids(found: Sequence[Product | Refused], body: bytes) -> list[str | None]:
    """Return each product's id, also that of a malformed one if it has a text there."""
    ids = [None if isinstance(one, Refused) else one["product_id"] for one in found]
    if None not in ids:
        return ids
    sent = [one.get("product_id") if isinstance(one, dict) else None for one in from_json(body)["products"]]
    return [product_id if isinstance(product_id, str) else None for product_id in sent]


def _item(product_id: str | None, outcome: _Outcome) -> dict[str, Any]:
    told = {"error": outcome.problem} if isinstance(outcome, Refused) else outcome._asdict()
    return {"product_id": product_id, **told}


def _error(found: Mapping[str, Any]) -> ProblemError:
    return ProblemError(found, _RETRY if found["status"] >= 500 else None)


def _outcome(written: Place | Undelivered) -> _Outcome:
    if isinstance(written, Place):
        return written
    if written.fate == "too-large":
        return Refused(invalid_product("the product is larger than Kafka takes: shorten its texts"))
    if written.fate == "unsent":
        detail = f"the product was not published ({written.reason}): send it again"
    else:
        detail = f"Kafka did not confirm the product ({written.reason}), which may be there or not: send it again"
    return Refused(problem("not-confirmed", "The product was not confirmed", 503, detail))


def _require_key(product_id: str) -> None:
    """Raise ProblemError unless this can be a record's key: what the stream requires of a product_id."""
    n_bytes = len(product_id.encode(errors="replace"))
    most = LARGEST_TEXT_BYTES["product_id"]
    if not n_bytes:
        raise ProblemError(invalid_product("product_id is empty"))
    if n_bytes > most:
        raise ProblemError(invalid_product(f"product_id has {n_bytes} bytes, at most {most} are allowed"))
    if "\N{REPLACEMENT CHARACTER}" in product_id:  # where the server met what is no UTF-8
        raise ProblemError(invalid_product("product_id is not UTF-8"))


def _traceparent(request: Request) -> bytes | None:
    found = request.headers.get(TRACEPARENT, "")
    return found.encode() if _TRACEPARENT.fullmatch(found) else None


@contextmanager
def _telling_what_is_away() -> Iterator[None]:
    """Answer 503 where Kafka or the registry is away, or not as it must be; addresses are for the log alone."""
    try:
        yield
    except DependencyUnavailableError as error:
        log.warning("products not published", extra={"reason": str(error)})
        detail = "Kafka or its schema registry does not answer: nothing was published, send it again"
    except SetupError as error:
        log.error("products cannot be published", extra={"reason": str(error)})  # noqa: TRY400 - it says all
        detail = "the gateway is not set up to publish: nothing was published, and its log says what to do"
    else:
        return
    raise ProblemError(problem("publishing-unavailable", "Products cannot be published now", 503, detail), _RETRY)
