"""Products in, decisions out, by the very code of the stream, without any HTTP.

What the stream makes a dead letter is a problem here, with the same reason.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from gateway.answers import decisions_as_rows
from gateway.model_slot import ModelSlot, SlottedModel
from gateway.problems import internal_error, invalid_product
from gateway.products import Product, to_columns
from schemas.clean_columns import Spans, Texts
from schemas.validation import check_products

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refused:
    """A product that was not decided on, and the problem that says why."""

    problem: dict[str, Any]


#: A `Decision` as a dict, or why there is none.
Outcome = dict[str, Any] | Refused


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of products, in their order, and the model that decided on all of them."""

    outcomes: Sequence[Outcome]
    by: SlottedModel


def decide(products: Sequence[Product], slot: ModelSlot) -> Decided:
    """Decide on products, all by the model that is served now. Blocks for as long as it takes; any thread.

    A product that is invalid, or that the model fails on, is refused alone.
    """
    by = slot.now
    outcomes: list[Outcome | None] = [None] * len(products)
    if products:
        batch = to_columns(products)
        where = np.arange(len(products))
        invalid = check_products(batch, _own_ids(batch))
        if invalid:
            is_valid = np.ones(len(products), np.bool_)
            for one in invalid:
                outcomes[one.row] = Refused(invalid_product(one.reason))
                is_valid[one.row] = False
            batch, where = batch.filter(pa.array(is_valid)), where[is_valid]
        _decide(batch, where.tolist(), by, outcomes)
    return Decided([one for one in outcomes if one is not None], by)


def _decide(batch: pa.RecordBatch, where: list[int], by: SlottedModel, outcomes: list[Outcome | None]) -> None:
    """Decide on valid products; if that fails as a whole, find those at fault by halves."""
    if not where:
        return
    try:
        rows = decisions_as_rows(by.model.classify(batch))
    except Exception:
        if len(where) == 1:
            log.exception("product cannot be decided on", extra={"model_version": by.stamp.version})
            outcomes[where[0]] = Refused(internal_error())
            return
        half = len(where) // 2
        _decide(batch.slice(0, half), where[:half], by, outcomes)
        _decide(batch.slice(half), where[half:], by, outcomes)
        return
    for at, row in zip(where, rows, strict=True):
        outcomes[at] = row


def _own_ids(batch: pa.RecordBatch) -> Spans:
    """Return the keys that the records would have: a product over HTTP has no other key than its id."""
    texts = Texts.of(batch.column(0))
    assert texts is not None  # there are rows, and ids are texts
    bounds = texts.offsets.astype(np.int64)
    return Spans(texts.content, bounds[:-1], np.diff(bounds).astype(np.int32))
