"""Arrow columns as numpy arrays that kernels can read, without copying text."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import SetupError


@dataclass(frozen=True, slots=True, kw_only=True)
class TextColumn:
    """The UTF-8 values of one column: row r is `text[offsets[r]:offsets[r + 1]]`.

    Attributes:
        text: uint8, the column's own buffer, read-only.
        offsets: int64, one more than there are rows.
        validity: uint8, Arrow's bitmap, read-only; empty if no row is null.
        first_bit: the bit of row 0 in the bitmap.
    """

    text: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]
    validity: npt.NDArray[np.uint8]
    first_bit: int


def text_column(products: pa.RecordBatch, name: str) -> TextColumn:
    """Return a string column of any Arrow layout; sliced columns are read in place.

    Raises SetupError if the batch lacks the column or it does not hold text.
    """
    column = _plain_text(_column(products, name), name)
    validity, offsets, text = column.buffers()
    if len(column) == 0 or offsets is None:
        bounds = np.zeros(len(column) + 1, np.int64)
    else:
        offset_type = np.int32 if pa.types.is_string(column.type) else np.int64
        first = column.offset
        # Widened (a copy of a few bytes a row), so that every kernel is compiled once, not once for each layout.
        bounds = _bytes_of(offsets).view(offset_type)[first : first + len(column) + 1].astype(np.int64)
    return TextColumn(
        text=_bytes_of(text),
        offsets=bounds,
        validity=_bytes_of(validity if column.null_count else None),
        first_bit=column.offset,
    )


def number_column(products: pa.RecordBatch, name: str) -> npt.NDArray[np.float64]:
    """Return a numeric column as float64, NaN where it is null; always a new array.

    Raises SetupError if the batch lacks the column or it does not hold numbers.
    """
    column = _column(products, name)
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)):
        raise SetupError(f"The column {name} holds {kind}, not numbers.")
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan)
    return np.array(column.to_numpy(zero_copy_only=False), np.float64)


def _column(products: pa.RecordBatch, name: str) -> pa.Array[Any]:
    position = products.schema.get_field_index(name)
    if position < 0:
        raise SetupError(
            f"The products lack the column {name}, which the feature spec names (or it is there twice)."
        )
    return products.column(position)


def _plain_text(column: pa.Array[Any], name: str) -> pa.Array[Any]:
    """Return a column of (large) strings, the same one if it is."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return column
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_null(kind) or pa.types.is_string(kind) or pa.types.is_string_view(kind):
        return pc.cast(column, pa.string())
    if pa.types.is_large_string(kind):
        return pc.cast(column, pa.large_string())
    raise SetupError(f"The column {name} holds {column.type}, not text.")


def _bytes_of(buffer: pa.Buffer | None) -> npt.NDArray[np.uint8]:
    if buffer is None:
        return _no_bytes()
    content = np.frombuffer(memoryview(buffer), np.uint8)
    content.flags.writeable = False  # one type for the kernels, whether or not Arrow calls the buffer mutable
    return content


@functools.cache
def no_text() -> TextColumn:
    """Return a column without rows."""
    return TextColumn(text=_no_bytes(), offsets=np.zeros(1, np.int64), validity=_no_bytes(), first_bit=0)


@functools.cache
def _no_bytes() -> npt.NDArray[np.uint8]:
    return np.frombuffer(b"", np.uint8)
