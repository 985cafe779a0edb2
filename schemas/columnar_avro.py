"""Avro data of any record to Arrow columns by pyruhvro: the one module that touches it.

What it does wrong, and who makes up for it: one bad datum fails the whole list without saying which (`decoding`
looks for it), bytes after a datum go unnoticed (`decoding` puts an end mark there), text is not checked to be
UTF-8 (here), an int is cut to 32 bits (`avro_types.schema_text`), some types panic (`carries`, and a trial of
each schema).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pyarrow as pa
import pyruhvro

from schemas.avro_types import Array, AvroType, Enum, Fixed, Map, Primitive, Record, Union, without_null

if TYPE_CHECKING:
    from collections.abc import Sequence


class ColumnarAvroError(ValueError):
    """pyruhvro cannot do it; nothing is said about which row is at fault. Never leaves this package."""


def carries(tree: AvroType) -> bool:
    """Say whether pyruhvro knows a type; the others make it panic, with a stack trace on stderr."""
    match without_null(tree):
        case Primitive(name):
            return name not in ("null", "bytes")
        case Array(items):
            return carries(items)
        case Record(_, fields):
            return all(carries(field.type) for field in fields)
        case Enum():
            return True
        case Map() | Fixed() | Union():
            return False


def decode_columns(datums: Sequence[bytes], schema: str) -> pa.RecordBatch:
    """Decode data of one schema into columns named and ordered as its fields, all text valid UTF-8.

    Raises ColumnarAvroError if any datum cannot be decoded.
    """
    try:
        batch = cast("pa.RecordBatch", pyruhvro.deserialize_array(datums, schema))
        batch.validate(full=True)
    except BaseException as error:
        raise _columnar(error) from error
    return batch


def _columnar(error: BaseException) -> BaseException:
    # A Rust panic is a BaseException of a type that cannot be imported; Ctrl-C and exit must stay what they are.
    if isinstance(error, Exception) or type(error).__name__ == "PanicException":
        return ColumnarAvroError(str(error))
    return error
