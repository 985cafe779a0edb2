"""Parquet, CSV and JSON Lines as columns of plain Python values."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from schemas.errors import InputFileError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

#: Values by column, None where a row has none; all columns are equally long.
RawColumns = dict[str, list[Any]]

#: A row of a CSV file must fit into a block, and may hold half a megabyte of description.
_CSV_BLOCK_BYTES: Final = 16 * 2**20

EXTENSIONS: Final = (".parquet", ".csv", ".jsonl", ".ndjson")


def read_columns(path: Path, wanted: Collection[str], limit: int | None) -> tuple[RawColumns, list[str]]:
    """Return those of the wanted columns that a file has, in its first `limit` rows, and the names of all it has.

    Raises InputFileError if there is no such file, its extension is not one of EXTENSIONS, or it is damaged.
    """
    extension = path.suffix.lower()
    if extension not in EXTENSIONS:
        raise InputFileError(
            f"{path.name} has the extension {extension or '(none)'}, expected one of {', '.join(EXTENSIONS)}"
        )
    if not path.is_file():
        raise InputFileError(f"{path} is {'a folder' if path.is_dir() else 'not there'}, expected a file")
    if path.stat().st_size == 0:
        raise InputFileError(f"{path.name} is empty")
    try:
        if extension in (".jsonl", ".ndjson"):
            return _read_json_lines(path, wanted, limit)
        table, names = _read_csv(path, wanted) if extension == ".csv" else _read_parquet(path, wanted, limit)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputFileError(_damage(path, str(error).splitlines()[0])) from error
    twice = next((name for name in wanted if names.count(name) > 1), None)
    if twice is not None:
        raise InputFileError(f"{path.name} has two columns {twice}")
    return {name: _values(table[name].slice(0, limit)) for name in table.schema.names if name in wanted}, names


def _damage(path: Path, message: str) -> str:
    # Arrow counts the header as row 1.
    found = re.search(r"Row #(\d+): (.*)", message)
    if found:
        return f"{path.name} row {int(found[1]) - 1}: {found[2]}"
    return f"{path.name} cannot be read as {path.suffix[1:].lower()}: {message}"


def _read_parquet(path: Path, wanted: Collection[str], limit: int | None) -> tuple[pa.Table, list[str]]:
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        batches, rows = [], 0
        for batch in file.iter_batches(columns=[name for name in schema.names if name in wanted]):
            batches.append(batch)
            rows += batch.num_rows
            if limit is not None and rows >= limit:
                break
        present = pa.schema([field for field in schema if field.name in wanted])
        return pa.Table.from_batches(batches, present), schema.names


def _read_csv(path: Path, wanted: Collection[str]) -> tuple[pa.Table, list[str]]:
    table = pa_csv.read_csv(
        path,
        # With threads, Arrow does not say in which row a fault is.
        read_options=pa_csv.ReadOptions(block_size=_CSV_BLOCK_BYTES, use_threads=False),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True),
        # As text: 0012 is a product_id, and 12.345 is 12.345 exactly.
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(wanted, pa.string()), null_values=[""], strings_can_be_null=True
        ),
    )
    return table, table.schema.names


def _read_json_lines(path: Path, wanted: Collection[str], limit: int | None) -> tuple[RawColumns, list[str]]:
    rows: list[dict[str, Any]] = []
    names: dict[str, None] = {}
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for line in file:
            if limit is not None and len(rows) >= limit:
                break
            if not line.strip():
                continue
            where = f"{path.name} row {len(rows) + 1}"
            try:
                row = json.loads(line, parse_float=Decimal)
            except ValueError as error:
                raise InputFileError(f"{where}: not JSON ({error})") from error
            if not isinstance(row, dict):
                raise InputFileError(f"{where}: expected a JSON object")
            names |= dict.fromkeys(row)
            rows.append(row)
    return {name: [row.get(name) for row in rows] for name in names if name in wanted}, list(names)


def _values(column: pa.ChunkedArray[Any]) -> list[Any]:
    if pa.types.is_float32(column.type) or pa.types.is_float16(column.type):
        # Widened to a double, 12.345 would be 12.345000267; as its own type it is written as it was meant.
        return [None if value is None else str(np.float32(value)) for value in column.to_pylist()]
    return column.to_pylist()
