"""The Arrow types that stand for Avro types in our batches."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

from schemas.avro_types import Array, AvroType, Enum, Field, Primitive, Record, without_null

_PRIMITIVES: Final[dict[Primitive, pa.DataType]] = {
    Primitive("boolean"): pa.bool_(),
    Primitive("int"): pa.int32(),
    Primitive("long"): pa.int64(),
    Primitive("float"): pa.float32(),
    Primitive("double"): pa.float64(),
    Primitive("string"): pa.string(),
    Primitive("long", "timestamp-millis"): pa.timestamp("ms", tz="UTC"),
}


def arrow_schema(record: Record) -> pa.Schema:
    """Return the Arrow schema that mirrors a record: enums as strings, timestamps in UTC.

    Raises TypeError for what our own schemas do not use (bytes, fixed, map, unions of more than null and a type).
    """
    return pa.schema([_arrow_field(item) for item in record.fields])


def _arrow_field(item: Field) -> pa.Field[Any]:
    return pa.field(item.name, arrow_type(item.type), nullable=without_null(item.type) is not item.type)


def arrow_type(tree: AvroType) -> pa.DataType:
    """Return the Arrow type of a value, null or not; raises as `arrow_schema` does."""
    match without_null(tree):
        case Array(items):
            return pa.list_(arrow_type(items))
        case Record(_, fields):
            return pa.struct([_arrow_field(item) for item in fields])
        case Enum():
            return pa.string()
        case Primitive() as plain if plain in _PRIMITIVES:
            return _PRIMITIVES[plain]
    raise TypeError(f"no Arrow type for {tree}")
