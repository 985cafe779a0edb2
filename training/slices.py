"""How a model does on kinds of products: where a good average hides a bad part.

Few products make a bad figure by chance alone, so each share comes with its interval.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from training.intervals import Share
from training.outcomes import Outcomes

#: Titles are counted in characters, these and more: fixed, so that slices of two models can be compared.
_TITLE_EDGES: Final = (0, 20, 40, 80, 160)
#: Of a product's n-grams, the share that the model had not seen in training, up to these.
_UNFAMILIAR_EDGES: Final = (-1.0, 0.1, 0.25, 0.5, 1.0)

_pc: Final[Any] = pc  # its stubs do not know what a column of unknown type becomes


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The products that have one value of one property.

    Attributes:
        property, value: such as `brand` and `missing`.
        n: products.
        accuracy: of the most probable leaf.
        coverage: share that is published.
        precision: of what is published.
    """

    property: str
    value: str
    n: int
    accuracy: Share
    coverage: Share
    precision: Share


def slices_of(outcomes: Outcomes, products: pa.Table) -> tuple[Slice, ...]:
    """Cut the outcomes by what is missing of a product, by what was new to the model, and by title length.

    `products` has the rows of `outcomes`. Values without products are left out, and so are properties of one value
    only. Pure.
    """
    slices: list[Slice] = []
    for name, values in _properties(outcomes, products):
        cut = [_slice(outcomes, name, value, chosen) for value, chosen in values if chosen.any()]
        if len(cut) > 1:
            slices += cut
    return tuple(slices)


_Values = list[tuple[str, npt.NDArray[np.bool_]]]


def _properties(outcomes: Outcomes, products: pa.Table) -> Iterator[tuple[str, _Values]]:
    unseen = outcomes.unseen
    yield "brand", _given(products, "brand", None if unseen is None else unseen.brand)
    yield "seller", _given(products, "seller_id", None if unseen is None else unseen.seller)
    yield "price", _given(products, "price_minor")
    yield "description", _given(products, "description")
    length = _pc.utf8_length(products["title"]).to_numpy()
    yield (
        "title, characters",
        [
            *((f"{low + 1} to {high}", (length > low) & (length <= high)) for low, high in pairwise(_TITLE_EDGES)),
            (f"over {_TITLE_EDGES[-1]}", length > _TITLE_EDGES[-1]),
        ],
    )
    if unseen is not None and unseen.text is not None:
        yield (
            "text that was new in training",
            [
                (
                    f"{100 * max(low, 0):.0f} to {100 * high:.0f} %",
                    (unseen.text > low) & (unseen.text <= high),
                )
                for low, high in pairwise(_UNFAMILIAR_EDGES)
            ],
        )


def _given(products: pa.Table, column: str, new: npt.NDArray[np.bool_] | None = None) -> _Values:
    given: npt.NDArray[np.bool_] = _pc.is_valid(products[column]).to_numpy()
    if new is None:
        return [("given", given), ("missing", ~given)]
    return [("seen in training", given & ~new), ("new", given & new), ("missing", ~given)]


def _slice(outcomes: Outcomes, name: str, value: str, chosen: npt.NDArray[np.bool_]) -> Slice:
    n, published = int(chosen.sum()), chosen & outcomes.is_published
    return Slice(
        property=name,
        value=value,
        n=n,
        accuracy=Share(n=n, right=int(outcomes.is_right[chosen].sum())),
        coverage=Share(n=n, right=int(published.sum())),
        precision=Share(n=int(published.sum()), right=int(outcomes.is_true[published].sum())),
    )
