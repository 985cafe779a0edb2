"""Batches as plain rows, to compare with the oracle."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa


def rows_of(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return the rows, timestamps as milliseconds, NaN as the text "nan" (it is not equal to itself)."""
    plain = [column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column for column in batch.columns]
    rows = pa.RecordBatch.from_arrays(plain, names=batch.schema.names).to_pylist()
    return [comparable(row) for row in rows]


def comparable(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row that is equal to another exactly if its values are."""
    return {
        name: "nan" if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()
    }
