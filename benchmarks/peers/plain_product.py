"""A product as a pydantic model, with the rules that any team would have."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field, field_validator


class Product(BaseModel):
    """A product that may be classified."""

    product_id: str = Field(min_length=1, max_length=256)
    title: str = Field(min_length=1, max_length=131_072)
    description: str | None = Field(default=None, max_length=524_288)
    brand: str | None = Field(default=None, max_length=1_024)
    seller_id: str | None = Field(default=None, max_length=1_024)
    subcategory: str | None = Field(default=None, max_length=1_024)
    price_minor: int | None = Field(default=None, ge=0)
    currency: str | None = Field(default=None, pattern="^[A-Z]{3}$")
    rating: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    reviews_count: int | None = Field(default=None, ge=0)
    created_at: datetime | None = None

    @field_validator("title")
    @classmethod
    def _is_not_blank(cls, title: str) -> str:
        if title.isspace():
            raise ValueError("title is blank")
        return title
