"""A strict walk over one Avro datum, to say what is wrong with it in words its producer can act on.

fastavro alone will not do: it takes a negative position in a union for one counted from the end, and explains
itself with `EOFError: `. Slow (microseconds a field), so only rows that failed in columns come here.
"""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, Final

from schemas.avro_types import Array, AvroType, Enum, Fixed, Map, Primitive, Record, Union

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST_VARINT: Final = 10
_SIZES: Final = {"boolean": 1, "float": 4, "double": 8, "null": 0}


class _FaultError(Exception):
    """Carries a reason up through the walk."""


def datum_fault(datum: bytes, writer: Record) -> str | None:
    r"""Say what is wrong with a datum written with this schema, or None if it is whole and nothing follows it.

    >>> from schemas.avro_types import Field
    >>> datum_fault(b"\x06ab", Record("R", (Field("title", Primitive("string")),)))
    'field title: the datum ends inside a text of 3 bytes'
    """
    walk = _Walk(datum)
    try:
        for field in writer.fields:
            walk.pass_over(field.type, field.name)
    except _FaultError as fault:
        return str(fault)
    left = len(datum) - walk.position
    return f"{left} {'byte' if left == 1 else 'bytes'} left over after the datum" if left else None


class _Walk:
    def __init__(self, datum: bytes) -> None:
        self._datum = datum
        self.position = 0

    def pass_over(self, tree: AvroType, where: str) -> None:
        match tree:
            case Primitive(name):
                self._pass_over_primitive(name, where)
            case Union(branches):
                self.pass_over(branches[self._index(len(branches), "union branch", where)], where)
            case Enum(_, symbols):
                self._index(len(symbols), "enum symbol", where)
            case Array(items):
                for _ in self._blocks(where):
                    self.pass_over(items, where)
            case Map(values):
                for _ in self._blocks(where):
                    self._pass_over_primitive("string", where)
                    self.pass_over(values, where)
            case Fixed(_, size):
                self._take(size, f"{size} bytes", where)
            case Record(_, fields):
                for field in fields:
                    self.pass_over(field.type, f"{where}.{field.name}")

    def _pass_over_primitive(self, name: str, where: str) -> None:
        if name in ("int", "long"):
            self._number(where)
        elif name in ("string", "bytes"):
            size = self._number(where)
            what = "text" if name == "string" else "value"
            if size < 0:
                raise _FaultError(f"field {where}: a {what} of {size} bytes")
            content = self._take(size, f"a {what} of {size} bytes", where)
            if name == "string":
                try:
                    content.decode()
                except UnicodeDecodeError as error:
                    raise _FaultError(f"field {where}: not UTF-8 at byte {error.start} of the text") from error
        else:
            content = self._take(_SIZES[name], f"a {name}", where)
            if name == "boolean" and content not in (b"\x00", b"\x01"):
                raise _FaultError(f"field {where}: 0x{content.hex()} is no boolean")

    def _blocks(self, where: str) -> Iterator[None]:
        while count := self._number(where):
            if count < 0:
                self._number(where)  # a negative count is followed by the size of the block in bytes
            if abs(count) > len(self._datum):
                raise _FaultError(f"field {where}: {abs(count)} items in {len(self._datum)} bytes")
            yield from repeat(None, abs(count))

    def _index(self, count: int, what: str, where: str) -> int:
        index = self._number(where)
        if not 0 <= index < count:
            raise _FaultError(f"field {where}: {what} {index}, but there are {count}")
        return index

    def _take(self, size: int, what: str, where: str) -> bytes:
        taken = self._datum[self.position : self.position + size]
        if len(taken) < size:
            raise _FaultError(f"field {where}: the datum ends inside {what}")
        self.position += size
        return taken

    def _number(self, where: str) -> int:
        bits = 0
        for place in range(_LONGEST_VARINT):
            (byte,) = self._take(1, "a number", where)
            bits |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                bits &= 2**64 - 1
                return (bits >> 1) ^ -(bits & 1)
        raise _FaultError(f"field {where}: a number of more than {_LONGEST_VARINT} bytes")
