"""Made-up data of any schema, to try whether a library can do it before real data depend on it."""

from __future__ import annotations

from schemas.avro_types import Array, AvroType, Enum, Fixed, Map, Primitive, Record, Union


def made_up_datum(tree: AvroType, *, rich: bool) -> bytes:
    """Return a valid datum in the shortest encoding.

    Rich: the last branch of each union, one item in each array and map, texts of one letter. Otherwise the
    first branch, and everything empty.
    """
    match tree:
        case Primitive("null"):
            return b""
        case Primitive("string" | "bytes"):
            return b"\x02a" if rich else b"\x00"
        case Primitive(name):
            return bytes({"float": 4, "double": 8}.get(name, 1))
        case Union(branches):
            index = len(branches) - 1 if rich else 0
            return bytes([2 * index]) + made_up_datum(branches[index], rich=rich)
        case Enum():
            return b"\x00"
        case Fixed(_, size):
            return bytes(size)
        case Array(items):
            return b"\x02" + made_up_datum(items, rich=True) + b"\x00" if rich else b"\x00"
        case Map(values):
            return b"\x02\x02a" + made_up_datum(values, rich=True) + b"\x00" if rich else b"\x00"
        case Record(_, fields):
            return b"".join(made_up_datum(field.type, rich=rich) for field in fields)
