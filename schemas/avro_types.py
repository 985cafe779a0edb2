"""An Avro schema as a tree of plain values, and its text for the two Avro libraries.

Documentation and unknown properties are left out. A schema that refers to itself is refused: both libraries would
follow a hostile datum down to the end of the stack.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import fastavro

from schemas.errors import InvalidRecordError

PRIMITIVES: Final = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})


@dataclass(frozen=True, slots=True)
class Primitive:
    """`null`, `boolean`, `int`, `long`, `float`, `double`, `bytes` or `string`."""

    name: str
    logical: str | None = None


@dataclass(frozen=True, slots=True)
class Array:
    """Any number of items of one type."""

    items: AvroType


@dataclass(frozen=True, slots=True)
class Map:
    """Values of one type by string."""

    values: AvroType


@dataclass(frozen=True, slots=True)
class Union:
    """One of several types; the datum says which by its position."""

    branches: tuple[AvroType, ...]


@dataclass(frozen=True, slots=True)
class Enum:
    """One of several symbols; `default` is what a reader makes of a symbol that it does not know."""

    name: str
    symbols: tuple[str, ...]
    default: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Fixed:
    """A fixed number of bytes."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record. `default` counts only where `has_default`: null is a default too."""

    name: str
    type: AvroType
    has_default: bool = field(default=False, compare=False)
    default: object = field(default=None, compare=False)
    aliases: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Record:
    """Fields in the order of their bytes; `name` with its namespace."""

    name: str
    fields: tuple[Field, ...]
    aliases: tuple[str, ...] = field(default=(), compare=False)


AvroType = Primitive | Array | Map | Union | Enum | Fixed | Record
NULL: Final = Primitive("null")


def parse_record(text: str) -> Record:
    """Return the record that a schema's text describes.

    Raises InvalidRecordError if it is not Avro, not a record, or refers to itself or to a schema elsewhere.
    """
    try:
        parsed = fastavro.parse_schema(json.loads(text))
    except Exception as error:  # the text is anybody's, and fastavro raises KeyError, TypeError and more
        raise InvalidRecordError(
            f"not an Avro schema that can be read here ({type(error).__name__}: {error})"
        ) from error
    tree = _Parser().read(parsed)
    if not isinstance(tree, Record):
        raise InvalidRecordError("an Avro schema, but not of a record")
    return tree


class _Parser:
    def __init__(self) -> None:
        self._named: dict[str, AvroType | None] = {}

    def read(self, node: Any) -> AvroType:
        if isinstance(node, list):
            return Union(tuple(self.read(branch) for branch in node))
        if isinstance(node, str):
            if node in PRIMITIVES:
                return Primitive(node)
            known = self._named.get(node)
            if known is None:
                raise InvalidRecordError(f"an Avro schema in which {node} refers to itself")
            return known
        kind = node["type"]
        if kind in ("record", "error", "enum", "fixed"):
            return self._read_named(kind, node)
        if kind == "array":
            return Array(self.read(node["items"]))
        if kind == "map":
            return Map(self.read(node["values"]))
        if isinstance(kind, str) and kind in PRIMITIVES:
            return Primitive(kind, node.get("logicalType"))
        return self.read(kind)

    def _read_named(self, kind: str, node: Mapping[str, Any]) -> AvroType:
        name: str = node["name"]
        self._named[name] = None  # entered, not left: a reference from inside is a cycle
        tree: AvroType
        if kind == "enum":
            tree = Enum(name, tuple(node["symbols"]), node.get("default"))
        elif kind == "fixed":
            tree = Fixed(name, node["size"])
        else:
            fields = tuple(
                Field(
                    item["name"],
                    self.read(item["type"]),
                    "default" in item,
                    item.get("default"),
                    tuple(item.get("aliases", ())),
                )
                for item in node["fields"]
            )
            tree = Record(name, fields, tuple(node.get("aliases", ())))
        self._named[name] = tree
        return tree


def schema_text(record: Record, *, extra_fields: tuple[Field, ...] = ()) -> str:
    """Return the schema for decoding as JSON, with `extra_fields` after its own.

    Logical types are left out (all arrive as the numbers they are) and an int is called a long. The bytes are the
    same; pyruhvro, told `int`, cuts a number that is too large for one to 32 bits without a word.
    """
    whole = Record(record.name, record.fields + extra_fields, record.aliases)
    return json.dumps(_Writer().write(whole))


class _Writer:
    def __init__(self) -> None:
        self._written: set[str] = set()

    def write(self, tree: AvroType) -> Any:
        match tree:
            case Primitive(name):
                return "long" if name == "int" else name
            case Array(items):
                return {"type": "array", "items": self.write(items)}
            case Map(values):
                return {"type": "map", "values": self.write(values)}
            case Union(branches):
                return self._write_union(branches)
        if tree.name in self._written:
            return tree.name
        self._written.add(tree.name)
        match tree:
            case Enum(name, symbols, default):
                node: dict[str, Any] = {"type": "enum", "name": name, "symbols": list(symbols)}
                return node | ({"default": default} if default is not None else {})
            case Fixed(name, size):
                return {"type": "fixed", "name": name, "size": size}
            case Record(name, fields, aliases):
                node = {"type": "record", "name": name, "aliases": list(aliases)}
                return node | {"fields": [self._write_field(item) for item in fields]}

    def _write_union(self, branches: tuple[AvroType, ...]) -> list[Any]:
        names = {branch.name for branch in branches if isinstance(branch, Primitive)}
        if {"int", "long"} <= names:  # a union may not hold one type twice
            return [branch.name if isinstance(branch, Primitive) else self.write(branch) for branch in branches]
        return [self.write(branch) for branch in branches]

    def _write_field(self, item: Field) -> dict[str, Any]:
        node: dict[str, Any] = {"name": item.name, "type": self.write(item.type)}
        if item.aliases:
            node["aliases"] = list(item.aliases)
        return node | ({"default": item.default} if item.has_default else {})


def without_null(tree: AvroType) -> AvroType:
    """Return the type that a union of null and one type holds; any other type as it is."""
    if isinstance(tree, Union):
        rest = [branch for branch in tree.branches if branch != NULL]
        if len(rest) == 1 and len(tree.branches) == 2:
            return rest[0]
    return tree
