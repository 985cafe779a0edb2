"""How a batch becomes Avro, step by step: the plan of a schema, and where its columns lie in memory.

`schemas.encoding_kernel` follows the plan for every row. A plan knows all types that our schemas may have: those
of `schemas.arrow_types`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.arrow_types import arrow_type
from schemas.avro_types import NULL, Array, AvroType, Enum, Record, Union, without_null
from schemas.encoding_kernel import BOOLEAN, DOUBLE, ENUM, FLOAT, INT, LIST, LONG, RECORD, TEXT

#: A column: a row each, or one row that stands for all; a record also as its fields.
Column: TypeAlias = "pa.Array[Any] | dict[str, Any]"

_KINDS: Final[dict[pa.DataType, int]] = {
    pa.bool_(): BOOLEAN,
    pa.int32(): INT,
    pa.int64(): LONG,
    pa.timestamp("ms", tz="UTC"): LONG,
    pa.float32(): FLOAT,
    pa.float64(): DOUBLE,
    pa.string(): TEXT,
}


class NotInPlanError(ValueError):
    """A column is not what the schema describes. Never leaves this package."""


@dataclass(frozen=True, slots=True)
class _Node:
    """One value of the schema, and those inside it: the items of an array, the fields of a record."""

    name: str
    kind: int
    type: pa.DataType
    is_nullable: bool
    inside: tuple[_Node, ...]


@dataclass(frozen=True, slots=True)
class EncodingPlan:
    """The steps that write one row.

    Attributes:
        steps: int64 (n_steps, 5): kind, the branch of the union that is null (-1: no union), the step behind all
            that is inside this one, the first symbol of an enum and the one after its last.
        names: of the steps, for people.
        symbols: uint8, the symbols of all enums; `symbol_bounds`: int64, where each starts, and the last ends.
    """

    steps: npt.NDArray[np.int64]
    names: tuple[str, ...]
    symbols: npt.NDArray[np.uint8]
    symbol_bounds: npt.NDArray[np.int64]
    _nodes: tuple[_Node, ...]

    @classmethod
    def of(cls, record: Record) -> EncodingPlan:
        """Return the plan of a schema. Raises TypeError as `arrow_schema` does."""
        planner = _Planner()
        nodes = tuple(planner.add(item.name, item.type) for item in record.fields)
        return cls(
            steps=np.array(planner.steps, np.int64).reshape(-1, 5),
            names=tuple(planner.names),
            symbols=np.frombuffer("".join(planner.symbols).encode(), np.uint8),
            symbol_bounds=np.cumsum([0, *(len(one.encode()) for one in planner.symbols)]).astype(np.int64),
            _nodes=nodes,
        )

    def places(self, columns: Mapping[str, Column], n_rows: int) -> npt.NDArray[np.int64]:
        """Return where the columns lie: int64 (n_steps, 5), valid as long as the columns are alive.

        For each step: address of the bitmap of what is not null (0: nothing is null), row of the first value, how
        many rows to go for the next one (0: one value for all), address of numbers or offsets, address of text.

        Raises NotInPlanError if a column is missing, has another type, or neither n_rows rows nor one.
        """
        places: list[int] = []
        for node in self._nodes:
            _place(node, _of(columns, node.name), n_rows, places)
        return np.array(places, np.int64).reshape(-1, 5)


class _Planner:
    def __init__(self) -> None:
        self.steps: list[list[int]] = []
        self.names: list[str] = []
        self.symbols: list[str] = []

    def add(self, name: str, tree: AvroType) -> _Node:
        """Add the steps of a value."""
        core = without_null(tree)
        is_nullable = isinstance(tree, Union) and core is not tree
        null_branch = tree.branches.index(NULL) if isinstance(tree, Union) and is_nullable else -1
        step = [0, null_branch, 0, 0, 0]
        self.steps.append(step)
        self.names.append(name)
        kind = _KINDS.get(arrow_type(core), TEXT)
        inside: tuple[_Node, ...] = ()
        match core:
            case Enum(_, symbols):
                kind = ENUM
                step[3:] = len(self.symbols), len(self.symbols) + len(symbols)
                self.symbols += symbols
            case Array(items):
                kind, inside = LIST, (self.add(name, items),)
            case Record(_, fields):
                kind, inside = RECORD, tuple(self.add(item.name, item.type) for item in fields)
        step[0], step[2] = kind, len(self.steps)
        return _Node(name, kind, arrow_type(core), is_nullable, inside)


def _of(columns: Mapping[str, Column], name: str) -> Column:
    try:
        return columns[name]
    except KeyError:
        raise NotInPlanError(f"there is no column {name}") from None


def _place(node: _Node, column: Column, n_rows: int, places: list[int]) -> None:
    """Add where a column of n_rows lies, and those inside it; n_rows is -1 in lists, where any number will do."""
    if isinstance(column, dict):
        if node.kind != RECORD:
            raise NotInPlanError(f"{node.name} is no record")
        places += (0, 0, 0, 0, 0)
        for inner in node.inside:
            _place(inner, _of(column, inner.name), n_rows, places)
        return
    has_nulls = column.null_count > 0
    if has_nulls and not node.is_nullable and n_rows >= 0:
        raise NotInPlanError(f"there is a null in column {node.name}")
    n_values, stride = len(column), 1
    if n_rows >= 0 and n_values != n_rows:
        if n_values != 1 or node.kind == LIST:
            raise NotInPlanError(f"column {node.name} has {n_values} rows, not {n_rows}")
        stride = 0
    kind = column.type
    if kind.id != node.type.id or (not node.inside and kind != node.type):
        raise NotInPlanError(f"column {node.name} is of type {kind}, not {node.type}")
    buffers = column.buffers()
    valid = _address(buffers[0]) if has_nulls else 0
    values = 0 if node.kind == RECORD else _address(buffers[1])
    text = _address(buffers[2]) if node.kind in (TEXT, ENUM) else 0
    places += (valid, column.offset, stride, values, text)
    if node.kind == LIST:
        _place(node.inside[0], cast("pa.ListArray[Any]", column).values, -1, places)
    elif node.kind == RECORD:
        for inner in node.inside:
            _place(inner, cast("pa.StructArray", column).field(inner.name), n_rows, places)


def _address(buffer: pa.Buffer | None) -> int:
    return 0 if buffer is None else int(buffer.address)
