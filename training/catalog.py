"""The labelled products as training sees them: one row a product, in one order, with one digest.

A file and a snapshot of the topic come to the same table here, which is why they give the same model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.columns import LABELLED_PRODUCT
from schemas.errors import SetupError

#: Rows turned into Python objects at a time: bounds memory, not speed.
_ROWS_AT_ONCE: Final = 8_192


def require_labels(products: pa.Table, what: str) -> None:
    """Raise SetupError if a column of `LABELLED_PRODUCT` is missing; `what` needs them."""
    for name in LABELLED_PRODUCT.names:
        if name not in products.column_names:
            raise SetupError(f"The products have no column {name}: {what} needs products with their category.")


def latest_products(products: pa.Table) -> pa.Table:
    """Keep the last row of each product_id and sort by product_id (as UTF-8 bytes).

    As the topic would: a later record of a key replaces the one before. Columns other than product_id are
    untouched.
    """
    order = pc.sort_indices(products["product_id"]).to_numpy()  # stable: rows of one product stay in their order
    ids = products["product_id"].take(pa.array(order)).combine_chunks()
    is_last = np.ones(len(order), np.bool_)
    if len(order) > 1:
        is_last[:-1] = pc.not_equal(ids.slice(0, len(ids) - 1), ids.slice(1)).to_numpy(zero_copy_only=False)
    return products.take(pa.array(order[is_last]))


def content_digest(products: pa.Table) -> str:
    """Return the sha256, in hex, of what the rows say, whatever their order.

    Each row is the JSON array of its columns in the order of `LABELLED_PRODUCT`: a timestamp is its milliseconds,
    a float its shortest exact decimal, an absent value null. The digest is the sha256 of the rows' sha256 digests,
    concatenated in order of product_id (as UTF-8 bytes). Other columns (`group`) do not count.
    """
    digest = hashlib.sha256()
    for _, of_row in digests_of_rows(products):
        digest.update(of_row)
    return digest.hexdigest()


def digests_of_rows(products: pa.Table) -> Iterator[tuple[str, bytes]]:
    """Give each product_id and the sha256 of its row as above, in order of product_id (as UTF-8 bytes)."""
    ordered = pc.sort_indices(products["product_id"])
    columns = products.select(LABELLED_PRODUCT.names).cast(LABELLED_PRODUCT).take(ordered)
    millis = columns.schema.get_field_index("created_at")
    columns = columns.set_column(millis, "created_at", columns["created_at"].cast(pa.int64()))
    product_id = columns.schema.get_field_index("product_id")
    for batch in columns.to_batches(max_chunksize=_ROWS_AT_ONCE):
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            yield row[product_id], hashlib.sha256(json.dumps(row, separators=(",", ":")).encode()).digest()
