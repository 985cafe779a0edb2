"""The Arrow schemas of the batches that flow through the program.

They mirror the Avro files in `schemas/avro`, column for field and in the same order, so that encoding is a plain
projection. A batch keeps this form from decode to encode.
"""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

_PATH: Final = pa.list_(pa.string())
_MILLIS: Final = pa.timestamp("ms", tz="UTC")

_PRODUCT_FIELDS: Final[list[pa.Field[Any]]] = [
    pa.field("product_id", pa.string(), nullable=False),
    pa.field("title", pa.string(), nullable=False),
    pa.field("description", pa.string()),
    pa.field("brand", pa.string()),
    pa.field("seller_id", pa.string()),
    pa.field("subcategory", pa.string()),
    pa.field("price_minor", pa.int64()),
    pa.field("currency", pa.string()),
    pa.field("rating", pa.float64()),
    pa.field("reviews_count", pa.int64()),
    pa.field("created_at", _MILLIS),
]

#: One row a product, as in `product_created.avsc`.
PRODUCT: Final = pa.schema(_PRODUCT_FIELDS)

#: A product and its true category, as in `labelled_product.avsc`.
LABELLED_PRODUCT: Final = PRODUCT.append(pa.field("category_path", _PATH, nullable=False))

#: What a model says of a product's category.
VERDICT: Final = pa.schema(
    [
        pa.field("product_id", pa.string(), nullable=False),
        pa.field("category_path", _PATH, nullable=False),
        pa.field("confidence", pa.float64(), nullable=False),
        pa.field("decision", pa.string(), nullable=False),
        pa.field(
            "alternatives",
            pa.list_(pa.struct([pa.field("category_path", _PATH), pa.field("confidence", pa.float64())])),
            nullable=False,
        ),
    ]
)

#: What a model decides of a product, before it is tied to an input record: the verdict, and what of the product is
#: new to the model (null where it cannot tell).
DECISION: Final = pa.schema(
    [
        *VERDICT,
        pa.field("unseen_brand", pa.bool_()),
        pa.field("unseen_seller", pa.bool_()),
        pa.field("unfamiliar_text", pa.float64()),
    ]
)

#: As in `product_categorized.avsc`.
PRODUCT_CATEGORIZED: Final = pa.schema(
    [
        *DECISION,
        pa.field("model_name", pa.string(), nullable=False),
        pa.field("model_version", pa.string(), nullable=False),
        pa.field("feature_fingerprint", pa.string(), nullable=False),
        pa.field("taxonomy_version", pa.string(), nullable=False),
        pa.field(
            "source",
            pa.struct(
                [
                    pa.field("topic", pa.string(), nullable=False),
                    pa.field("partition", pa.int32(), nullable=False),
                    pa.field("offset", pa.int64(), nullable=False),
                ]
            ),
            nullable=False,
        ),
        pa.field("categorized_at", _MILLIS, nullable=False),
    ]
)

_MODEL_SWAP_FIELDS: Final[list[pa.Field[Any]]] = [
    pa.field("group_id", pa.string(), nullable=False),
    pa.field("topic", pa.string(), nullable=False),
    pa.field("partition", pa.int32(), nullable=False),
    pa.field("first_offset", pa.int64(), nullable=False),
    pa.field("model_name", pa.string(), nullable=False),
    pa.field("model_version", pa.string(), nullable=False),
    pa.field("registered_version", pa.int64()),
    pa.field("previous_model_version", pa.string()),
    pa.field("previous_registered_version", pa.int64()),
    pa.field("worker", pa.string(), nullable=False),
    pa.field("swapped_at", _MILLIS, nullable=False),
]

#: As in `model_swap.avsc`.
MODEL_SWAP: Final = pa.schema(_MODEL_SWAP_FIELDS)

_MODEL_ANNOUNCED_FIELDS: Final[list[pa.Field[Any]]] = [
    pa.field("name", pa.string(), nullable=False),
    pa.field("version", pa.int64(), nullable=False),
    pa.field("alias", pa.string()),
    pa.field("announced_by", pa.string(), nullable=False),
    pa.field("announced_at", _MILLIS, nullable=False),
]

#: As in `model_announced.avsc`.
MODEL_ANNOUNCED: Final = pa.schema(_MODEL_ANNOUNCED_FIELDS)
