"""Made-up products, so that a model has decided on something before it decides on what matters."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import pyarrow as pa

from models.serving.served import Classifier
from schemas import columns

#: So often for as many rows as any kernel looks at together.
_TIMES: Final = 64
#: One product with every field, in two scripts, and one with no more than it must have.
_PRODUCTS: Final[tuple[dict[str, object], ...]] = (
    {
        "product_id": "warm-up-1",
        "title": "Wireless headphones ワイヤレス pro 2",
        "description": "Over-ear, black, 30 hours",
        "brand": "Nordlys",
        "seller_id": "seller-1",
        "subcategory": "headphones",
        "price_minor": 12_900,
        "currency": "EUR",
        "rating": 4.5,
        "reviews_count": 12,
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
    },
    {"product_id": "warm-up-2", "title": "Kettle"},
)


def made_up_products() -> pa.RecordBatch:
    """Return the products, as `columns.PRODUCT`."""
    return pa.RecordBatch.from_pylist(list(_PRODUCTS), columns.PRODUCT)


def try_out(classifier: Classifier) -> None:
    """Have the model decide on them. Raises whatever it raises: such a model is not to be served.

    Few rows and many are scored by different kernels, so both have their turn.
    """
    few = made_up_products()
    classifier.classify(few)
    classifier.classify(few.take(pa.array([*range(few.num_rows)] * _TIMES, pa.int64())))
