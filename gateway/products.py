"""Products as JSON has them, and as columns.

What the Avro decoder yields is what JSON yields: the same columns (`columns.PRODUCT`), numbers without a loss,
null and absent the same. Whether a product is valid is then for `schemas.validation` to say, as in the stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Required

import pyarrow as pa
from pydantic import AwareDatetime, ConfigDict, Field, GetCoreSchemaHandler, with_config
from pydantic_core import CoreSchema, core_schema
from typing_extensions import TypedDict

from schemas.columns import PRODUCT
from schemas.validation import LARGEST_TEXT_BYTES

_LEAST: Final = -(2**63)
_MOST: Final = 2**63 - 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

EXAMPLE: Final[dict[str, Any]] = {
    "product_id": "B0C1234",
    "title": "Corsair Vengeance 32GB DDR5 6000MHz CL30",
    "brand": "Corsair",
    "price_minor": 11999,
    "currency": "EUR",
}


def _text(what: str, name: str, *examples: str, is_required: bool = False) -> Any:
    extra: dict[str, Any] = {"minLength": 1} if is_required else {}
    description = f"{what} At most {LARGEST_TEXT_BYTES[name]} bytes of UTF-8."
    return Field(description=description, examples=list(examples), json_schema_extra=extra)


def _count(what: str, *examples: int) -> Any:
    # Its bounds are those of the column; that it is not negative is checked where the stream checks it, too.
    extra: dict[str, Any] = {"minimum": 0, "maximum": _MOST}
    return Field(ge=_LEAST, le=_MOST, description=what, examples=list(examples), json_schema_extra=extra)


@with_config(ConfigDict(extra="forbid", strict=True, title="Product", json_schema_extra={"examples": [EXAMPLE]}))
class Product(TypedDict, total=False):
    """A product, with the fields of `ProductCreated`. Null is the same as absent; other fields are refused."""

    product_id: Required[Annotated[str, _text("Identifies it.", "product_id", "B0C1234", is_required=True)]]
    title: Required[Annotated[str, _text("As the shop calls it.", "title", EXAMPLE["title"], is_required=True)]]
    description: Annotated[str | None, _text("Free text about it.", "description")]
    brand: Annotated[str | None, _text("Maker or label.", "brand", "Corsair")]
    seller_id: Annotated[str | None, _text("Who sells it.", "seller_id", "seller-17")]
    subcategory: Annotated[str | None, _text("The shop's own category.", "subcategory", "memory")]
    price_minor: Annotated[int | None, _count("Price in the currency's minor unit, such as cents.", 11999)]
    currency: Annotated[str | None, Field(description="ISO 4217 code of the price.", examples=["EUR"])]
    rating: Annotated[float | None, Field(description="Mean rating, on the shop's own scale.", examples=[4.7])]
    reviews_count: Annotated[int | None, _count("How many reviews it has.", 214)]
    created_at: Annotated[
        Annotated[int, Field(ge=_LEAST, le=_MOST)] | AwareDatetime | None,
        Field(
            description="When the shop created it: RFC 3339 with a zone, or milliseconds since 1970 UTC.",
            examples=["2026-01-31T12:00:00Z", 1769860800000],
        ),
    ]


class NoneIfInvalid:
    """Marks an item of a list that becomes None instead of an error."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Wrap the item's schema."""
        return core_schema.with_default_schema(handler(source), default=None, on_error="default")


def to_columns(products: Sequence[Product]) -> pa.RecordBatch:
    """Return the products as `columns.PRODUCT`, in the order given."""
    columns: list[pa.Array[Any]] = []
    for field in PRODUCT:
        name = field.name
        values: list[Any] = [product.get(name) for product in products]
        if name == "created_at":
            values = [_milliseconds(value) for value in values]
        columns.append(pa.array(values, field.type))
    return pa.RecordBatch.from_arrays(columns, schema=PRODUCT)


def _milliseconds(value: int | datetime | None) -> int | None:
    return (value - _EPOCH) // _MILLISECOND if isinstance(value, datetime) else value
