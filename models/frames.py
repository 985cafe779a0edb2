"""Products and decisions as pandas frames, for those who call a registered model through MLflow."""

from __future__ import annotations

from typing import Final

import pandas as pd
import pyarrow as pa

from schemas import columns
from schemas.errors import SetupError

SEPARATOR: Final = " > "
"""Between the labels of a category written as one string."""


def products_from_frame(frame: pd.DataFrame) -> pa.RecordBatch:
    """Return a batch of `columns.PRODUCT`; optional columns may be missing, and others are not read.

    Raises SetupError if product_id or title is missing, or a column cannot be read as its type.
    """
    arrays = []
    for field in columns.PRODUCT:
        if field.name in frame.columns:
            try:
                arrays.append(pa.Array.from_pandas(frame[field.name], type=field.type))
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                raise SetupError(f"The column {field.name} cannot be read as {field.type}: {error}.") from error
        elif field.nullable:
            arrays.append(pa.nulls(len(frame), field.type))
        else:
            raise SetupError(f"The products have no column {field.name}.")
    return pa.RecordBatch.from_arrays(arrays, schema=columns.PRODUCT)


def decisions_to_frame(decisions: pa.RecordBatch) -> pd.DataFrame:
    """Return product_id, category (labels joined by " > "), category_path (list), confidence and decision."""
    paths = decisions["category_path"].to_pylist()
    return pd.DataFrame(
        {
            "product_id": decisions["product_id"].to_pylist(),
            "category": [SEPARATOR.join(path or ()) for path in paths],
            "category_path": paths,
            "confidence": decisions["confidence"].to_numpy(),
            "decision": decisions["decision"].to_pylist(),
        }
    )
