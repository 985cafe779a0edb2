"""What a framed value means, by fastavro's reader in Python made strict: slow, readable, none of our code."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from typing import Any

import fastavro
from fastavro import _read_py
from fastavro.io.binary_decoder import BinaryDecoder


class StrictDecoder(BinaryDecoder):
    """Refuses what fastavro lets pass although Avro has no such thing."""

    def read_long(self) -> int:
        start = self.fo.tell()
        number: int = super().read_long()  # type: ignore[no-untyped-call]  # fastavro gives it no types
        if self.fo.tell() - start > 10:
            raise ValueError("a number of more than ten bytes")
        unsigned = (number << 1) ^ (number >> 127)  # back to the bits as they were read
        unsigned &= 2**64 - 1
        return (unsigned >> 1) ^ -(unsigned & 1)

    read_int = read_long

    def read_index(self) -> int:
        index = self.read_long()
        if index < 0:
            raise ValueError("a negative position counts from the end in Python, not in Avro")
        return index

    read_enum = read_index

    def read_boolean(self) -> bool:
        (byte,) = self.fo.read(1)
        if byte > 1:
            raise ValueError("neither 0 nor 1")
        return bool(byte)

    def read_bytes(self) -> bytes:
        size = self.read_long()
        content: bytes = self.fo.read(max(size, 0))
        if len(content) != size:
            raise EOFError
        return content


# fastavro gives neither of these types.
_read_data: Callable[..., Any] = _read_py.read_data
_strict_decoder: Callable[[io.BytesIO], BinaryDecoder] = StrictDecoder


def without_logical_types(schema: str) -> Any:
    """Parse a schema for plain numbers instead of datetimes."""
    plain = json.loads(schema, object_hook=lambda node: {k: v for k, v in node.items() if k != "logicalType"})
    return fastavro.parse_schema(plain)


def read_value(value: bytes, writers: Mapping[int, str], reader: str) -> dict[str, Any] | None:
    """Return the reader's record, or None if the value is not exactly one record of a known schema."""
    if len(value) < 5 or value[0] != 0:
        return None
    schema = writers.get(int.from_bytes(value[1:5], "big"))
    if schema is None:
        return None
    stream = io.BytesIO(value[5:])
    names: dict[str, dict[str, Any]] = {"writer": {}, "reader": {}}
    parsed_writer = fastavro.parse_schema(without_logical_types(schema), names["writer"])
    parsed_reader = fastavro.parse_schema(without_logical_types(reader), names["reader"])
    try:
        # Once without our schema: fastavro skips what we do not have without looking at it.
        _read_data(_strict_decoder(io.BytesIO(value[5:])), parsed_writer, names, None, {})
        record: dict[str, Any] = _read_data(_strict_decoder(stream), parsed_writer, names, parsed_reader, {})
    except Exception:  # noqa: BLE001 - whatever goes wrong inside, the value is no record
        return None
    return record if not stream.read(1) else None


def write_value(schema_id: int, schema: str, record: Mapping[str, Any]) -> bytes:
    """Frame a record written by fastavro."""
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, without_logical_types(schema), dict(record))
    return b"\x00" + schema_id.to_bytes(4, "big") + stream.getvalue()
