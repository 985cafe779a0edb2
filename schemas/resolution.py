"""Avro schema resolution: what a reader makes of a writer's schema, decided once a schema, before any datum.

The rules are Avro's (fields by name or alias, extra fields dropped, defaults, int -> long -> float -> double,
string <-> bytes, unions by branch), and one more: a timestamp in another unit is refused, where Avro would read
microseconds as milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from schemas.avro_types import (
    NULL,
    Array,
    AvroType,
    Enum,
    Field,
    Fixed,
    Map,
    Primitive,
    Record,
    Union,
    without_null,
)

_PROMOTIONS: Final = {
    "int": frozenset({"long", "float", "double"}),
    "long": frozenset({"float", "double"}),
    "float": frozenset({"double"}),
    "string": frozenset({"bytes"}),
    "bytes": frozenset({"string"}),
}
#: Those that Arrow's cast does as Avro means them. An int arrives as a long (see `schema_text`).
_COLUMN_PROMOTIONS: Final = frozenset(
    {("int", "long"), ("int", "double"), ("long", "double"), ("float", "double")}
)


@dataclass(frozen=True, slots=True)
class Fit:
    """How values of one type become values of another.

    `always`: whatever the value is; otherwise some values have no counterpart (a null where none is allowed).
    `by_column`: Arrow can do it for a whole column.
    """

    always: bool
    by_column: bool


@dataclass(frozen=True, slots=True)
class Source:
    """Where a reader's field comes from: a position among the writer's fields, or (None) the reader's default."""

    field: Field
    position: int | None


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a reader makes of a writer's records.

    `problems` is empty if some record can be read; each names a field. `sources` has one entry a reader's field.
    """

    sources: tuple[Source, ...]
    problems: tuple[str, ...]
    always: bool
    by_column: bool


def resolve(writer: Record, reader: Record) -> Resolution:
    """Decide how a reader reads a writer's records."""
    problems = [] if _same_name(writer, reader) else [f"it is of record {writer.name}, not {reader.name}"]
    sources, fits = [], []
    for field in reader.fields:
        position = _find(field, writer)
        sources.append(Source(field, position))
        if position is None:
            if not field.has_default:
                problems.append(f"it has no field {field.name}, which {_short(reader.name)} requires")
            continue
        found = writer.fields[position].type
        fit = fit_of(found, field.type)
        if fit is None:
            problems.append(f"its field {field.name} is {describe(found)}, expected {describe(field.type)}")
        else:
            fits.append(fit)
    return Resolution(
        sources=tuple(sources),
        problems=tuple(problems),
        always=not problems and all(fit.always for fit in fits),
        by_column=not problems and all(fit.by_column for fit in fits),
    )


def fit_of(writer: AvroType, reader: AvroType) -> Fit | None:
    """Return how a writer's values are read, or None if not one of them can be."""
    if isinstance(writer, Union) or isinstance(reader, Union):
        return _fit_of_unions(writer, reader)
    match writer, reader:
        case Primitive(), Primitive():
            return _fit_of_primitives(writer, reader)
        case Array(have), Array(want):
            inner = fit_of(have, want)
            return inner and Fit(inner.always, by_column=have == want)
        case Map(have), Map(want):
            inner = fit_of(have, want)
            return inner and Fit(inner.always, by_column=False)
        case Enum(), Enum() if _last_name(writer.name) == _last_name(reader.name):
            known = set(writer.symbols) <= set(reader.symbols)
            return Fit(always=known or reader.default is not None, by_column=known)
        case Fixed(), Fixed() if _last_name(writer.name) == _last_name(reader.name) and writer.size == reader.size:
            return Fit(always=True, by_column=False)
        case Record(), Record():
            inside = resolve(writer, reader)
            return None if inside.problems else Fit(inside.always, by_column=writer == reader)
    return None


def _fit_of_unions(writer: AvroType, reader: AvroType) -> Fit | None:
    from_branches = writer.branches if isinstance(writer, Union) else (writer,)
    to_branches = reader.branches if isinstance(reader, Union) else (reader,)
    fits = [next((fit for to in to_branches if (fit := fit_of(branch, to))), None) for branch in from_branches]
    found = [fit for fit in fits if fit is not None]
    if not any(fit is not None for branch, fit in zip(from_branches, fits, strict=True) if branch != NULL):
        return None  # at best null, which is no use: say so once instead of reading every field as absent
    core_from, core_to = without_null(writer), without_null(reader)
    one_type_each = not isinstance(core_from, Union) and not isinstance(core_to, Union)
    core = fit_of(core_from, core_to) if one_type_each else None
    return Fit(
        always=len(found) == len(fits) and all(fit.always for fit in found),
        by_column=core is not None and core.by_column,
    )


def _fit_of_primitives(writer: Primitive, reader: Primitive) -> Fit | None:
    if reader.logical is not None and writer.logical not in (None, reader.logical):
        return None
    if writer.name == reader.name:
        return Fit(always=True, by_column=writer.name != "bytes")
    if reader.name in _PROMOTIONS.get(writer.name, frozenset()):
        return Fit(always=True, by_column=(writer.name, reader.name) in _COLUMN_PROMOTIONS)
    return None


def _find(field: Field, writer: Record) -> int | None:
    for name in (field.name, *field.aliases):
        for position, candidate in enumerate(writer.fields):
            if candidate.name == name:
                return position
    return None


def _same_name(writer: Record, reader: Record) -> bool:
    return _last_name(writer.name) in {_last_name(name) for name in (reader.name, *reader.aliases)}


def _last_name(name: str) -> str:
    return name.rpartition(".")[2]


_short = _last_name


def describe(tree: AvroType) -> str:
    """Return a type in a few words, for a sentence."""
    match tree:
        case Primitive(name, logical):
            return f"{name} ({logical})" if logical else name
        case Array(items):
            return f"array of {describe(items)}"
        case Map(values):
            return f"map of {describe(values)}"
        case Union(branches):
            return " or ".join(describe(branch) for branch in branches)
        case _:
            return _last_name(tree.name)
