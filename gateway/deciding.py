"""Products in, decisions out, by the very code of the stream, without any HTTP.

What the stream makes a dead letter is a problem here, with the same reason.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from gateway.answers import decisions_as_rows
from gateway.checking import Refused, checked
from gateway.model_slot import ModelSlot, SlottedModel
from gateway.problems import internal_error
from gateway.products import Product

log = logging.getLogger(__name__)


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
    found = checked(products)
    outcomes: list[Outcome | None] = [found.refused.get(at) for at in range(len(products))]
    _decide(found.valid, found.where, by, outcomes)
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
