"""Which products the stream would decide on, and what is wrong with the others, by the stream's own rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from gateway.problems import invalid_product
from gateway.products import Product, to_columns
from schemas.clean_columns import Spans, Texts
from schemas.validation import check_products


@dataclass(frozen=True, slots=True)
class Refused:
    """A product that was not accepted, and the problem that says why."""

    problem: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Checked:
    """Products, sorted into valid ones and others.

    Attributes:
        valid: `columns.PRODUCT`.
        where: the place of each valid one among the products given.
        refused: the others by their place.
    """

    valid: pa.RecordBatch
    where: list[int]
    refused: dict[int, Refused]


def checked(products: Sequence[Product]) -> Checked:
    """Check products as the worker checks records."""
    batch = to_columns(products)
    if not products:
        return Checked(batch, [], {})
    refused = {one.row: Refused(invalid_product(one.reason)) for one in check_products(batch, _own_ids(batch))}
    if not refused:
        return Checked(batch, list(range(len(products))), {})
    where = [row for row in range(len(products)) if row not in refused]
    return Checked(batch.take(pa.array(where, pa.int64())), where, refused)


def _own_ids(batch: pa.RecordBatch) -> Spans:
    """Return the keys that the records would have: a product over HTTP has no other key than its id."""
    texts = Texts.of(batch.column(0))
    assert texts is not None  # there are rows, and ids are texts
    bounds = texts.offsets.astype(np.int64)
    return Spans(texts.content, bounds[:-1], np.diff(bounds).astype(np.int32))
