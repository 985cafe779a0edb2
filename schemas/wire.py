"""The Confluent wire format: one zero byte, the schema id in four bytes, then the Avro datum."""

from __future__ import annotations

import struct
from typing import Final, NewType

from schemas.errors import InvalidRecordError

SchemaId = NewType("SchemaId", int)

MAGIC_BYTE: Final = 0
HEADER_SIZE: Final = 5

#: Registries number schemas with a signed 32-bit integer, from 1 or 0.
LARGEST_SCHEMA_ID: Final = 2**31 - 1

_HEADER: Final = struct.Struct(">bI")


def header(schema_id: SchemaId) -> bytes:
    """Return the five bytes that come before every datum of a schema.

    >>> header(SchemaId(258)).hex()
    '0000000102'
    """
    return _HEADER.pack(MAGIC_BYTE, schema_id)


def frame(schema_id: SchemaId, datum: bytes) -> bytes:
    """Return the value of a record: header and datum."""
    return header(schema_id) + datum


def split(value: bytes) -> tuple[SchemaId, bytes]:
    """Return schema id and datum of a value; the datum may be empty, as a record without fields is.

    Raises InvalidRecordError if the value has no such header.

    >>> split(bytes.fromhex("0000000102") + b"datum")
    (258, b'datum')
    """
    return read_header(value[:HEADER_SIZE]), value[HEADER_SIZE:]


def read_header(start: bytes) -> SchemaId:
    """Return the schema id from the first five bytes of a value (fewer, if the value has fewer).

    Raises InvalidRecordError with a reason that the record's producer can act on.
    """
    if not start:
        raise InvalidRecordError("value is empty; a withdrawn product has a null value, not an empty one")
    if start[0] != MAGIC_BYTE:
        raise InvalidRecordError(
            f"value is not Confluent wire format: first byte is 0x{start[0]:02x}, expected 0x00; "
            "was it written without the Avro serializer?"
        )
    if len(start) < HEADER_SIZE:
        raise InvalidRecordError(
            f"value is not Confluent wire format: it ends inside the header, {HEADER_SIZE} bytes long, "
            f"after {len(start)}"
        )
    _, number = _HEADER.unpack(start)
    if number > LARGEST_SCHEMA_ID:
        raise InvalidRecordError(f"schema id {number} is above {LARGEST_SCHEMA_ID}, which no registry gives")
    return SchemaId(number)
