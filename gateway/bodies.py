"""Request bodies to products: read once, straight from the bytes, with a sentence for each thing that is wrong."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Sequence
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from pydantic_core import ErrorDetails, from_json
from starlette.requests import Request
from typing_extensions import TypedDict

from gateway.checking import Refused
from gateway.problems import ProblemError, invalid_product, problem
from gateway.products import EXAMPLE, NoneIfInvalid, Product
from schemas.columns import PRODUCT
from schemas.validation import shortened

_LIST: Final = "The products, in the order in which they are answered."


@with_config(
    ConfigDict(
        extra="forbid", strict=True, title="Products", json_schema_extra={"examples": [{"products": [EXAMPLE]}]}
    )
)
class Products(TypedDict):
    """Several products."""

    products: Annotated[list[Product], Field(description=_LIST, min_length=1)]


@with_config(ConfigDict(extra="forbid", strict=True))
class _ForgivenProducts(TypedDict):
    products: list[Annotated[Product, NoneIfInvalid()]]


_ONE: Final = TypeAdapter(Product)
_SEVERAL: Final = TypeAdapter(Products)
_FORGIVEN: Final = TypeAdapter(_ForgivenProducts)


async def json_body(request: Request) -> bytes:
    """Return the body. Raises ProblemError if it is declared to be something else than JSON."""
    declared = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if declared != "application/json" and not (declared.startswith("application/") and declared.endswith("+json")):
        detail = f"the body is declared as {shortened(declared)}: send JSON with Content-Type: application/json"
        raise ProblemError(problem("not-json", "The body is not JSON", 415, detail))
    return await request.body()


def read_product(body: bytes) -> Product:
    """Return the product in a body. Raises ProblemError that says what is wrong with it."""
    try:
        return _ONE.validate_json(body)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        if faults[0]["loc"]:
            raise ProblemError(_malformed(faults)) from error
        raise _refusal(error, "send one JSON object with product_id and title") from error


def read_products(body: bytes, most: int) -> Sequence[Product | Refused]:
    """Return the products in a body, in order; in the place of each that is malformed, what is wrong with it.

    Raises ProblemError if there is no list of products in it, or more than `most`.
    """
    found: Sequence[Product | Refused]
    try:
        found = _SEVERAL.validate_json(body)["products"]
    except ValidationError as error:
        by_item = _by_item(error)
        if by_item is None:
            raise _refusal(error, 'send {"products": [...]} with at least one product') from error
        forgiven = _FORGIVEN.validate_json(body)["products"]
        found = [Refused(_malformed(by_item[at])) if at in by_item else one for at, one in enumerate(forgiven)]
    if len(found) > most:
        detail = f"the request has {len(found)} products and at most {most} are answered: send several requests"
        raise ProblemError(problem("too-many-products", "Too many products", 413, detail))
    return found


def read_one_or_several(body: bytes, most: int) -> tuple[Sequence[Product | Refused], bool]:
    """Return the products in a body of either form, as `read_products` does, and whether it is that of several.

    Raises ProblemError as `read_product` and `read_products` do.
    """
    # A product may hold the word, too; what is no JSON is for the readers to tell.
    with contextlib.suppress(ValueError):
        if b'"products"' in body and isinstance(whole := from_json(body), dict) and "products" in whole:
            return read_products(body, most), True
    return [read_product(body)], False


def _refusal(error: ValidationError, remedy: str) -> ProblemError:
    """Return the error of a body as a whole, by its first fault that is not of a single product."""
    first = min(error.errors(include_url=False), key=lambda fault: len(fault["loc"]) > 1)
    if first["type"] == "json_invalid":
        detail = f"the body is not JSON ({first['ctx']['error']}): {remedy}"
        return ProblemError(problem("not-json", "The body is not JSON", 400, detail))
    if not first["loc"]:
        detail = f"the body is not a JSON object: {remedy}"
        return ProblemError(problem("invalid-request", "The request is not valid", 422, detail))
    unknown = first["type"] == "extra_forbidden"
    what = f"{shortened(str(first['loc'][0]))} is not known" if unknown else sentence(first)
    return ProblemError(problem("invalid-request", "The request is not valid", 422, f"{what}: {remedy}"))


def _by_item(error: ValidationError) -> dict[int, list[ErrorDetails]] | None:
    """Return the faults of each product, if all of them are of products."""
    by_item: dict[int, list[ErrorDetails]] = {}
    for fault in error.errors(include_url=False):
        where = fault["loc"]
        if len(where) < 2 or where[0] != "products" or not isinstance(where[1], int):
            return None
        by_item.setdefault(where[1], []).append({**fault, "loc": where[2:]})
    return by_item


def _malformed(faults: Sequence[ErrorDetails]) -> dict[str, Any]:
    """Return the problem of one product; a field of several types has a fault for each, and the first is told."""
    told: dict[str, str] = {}
    for fault in faults:
        told.setdefault("/".join(["", *(str(part) for part in fault["loc"][:1])]), sentence(fault))
    fields = [{"pointer": pointer, "detail": detail} for pointer, detail in told.items()]
    return invalid_product("; ".join(told.values()), fields)


def sentence(fault: ErrorDetails) -> str:
    """Return in words what is wrong with a field."""
    name = str(fault["loc"][0]) if fault["loc"] else "the product"
    if fault["type"] == "missing":
        return f"{name} is missing"
    if fault["type"] == "extra_forbidden":
        close = difflib.get_close_matches(name, PRODUCT.names, n=1)
        return f"{shortened(name)} is no field of a product" + (f", did you mean {close[0]}?" if close else "")
    if name == "created_at":
        found = shortened(fault["input"])
        return f"created_at is {found}, expected a time with a zone such as 2026-01-31T12:00:00Z, or milliseconds"
    if fault["type"] == "too_short":
        return f"{name} is empty"
    if fault["type"] == "dict_type":
        return f"{name} is {_shown(fault['input'])}, expected an object"
    message = fault["msg"].removeprefix("Input should be ")
    return f"{name} is {_shown(fault['input'])}, expected {message.replace('a valid array', 'an array')}"


def _shown(value: object) -> str:
    """Return a JSON value as a person may read it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        return "an object"
    return "an array" if isinstance(value, list) else shortened(value)
