"""How the records of one writer's schema become our columns: decided and tried once, when it is first met."""

from __future__ import annotations

import io
import json
import secrets
from dataclasses import dataclass
from typing import Any, Final, cast

import fastavro
import numpy as np
import pyarrow as pa

from schemas.avro_types import Field, Primitive, Record, schema_text
from schemas.columnar_avro import ColumnarAvroError, carries, decode_columns
from schemas.datum_check import datum_fault
from schemas.flat_avro import FlatRecord
from schemas.framed import FramedValues
from schemas.made_up import made_up_datum
from schemas.resolution import Source, resolve
from schemas.wire import HEADER_SIZE

_END_FIELD: Final = Field("sortline_end_of_datum", Primitive("double"))

#: Follows every datum that goes to pyruhvro, as one field more. A datum with bytes left over, or cut short,
#: moves it. Eight different bytes, so that no part of the mark looks like its start; not known before the
#: process runs.
_END_MARK: Final = bytes(secrets.SystemRandom().sample(range(256), 8))
_END_NUMBER: Final = np.frombuffer(_END_MARK, np.int64)[0]


class NotInColumnsError(ValueError):
    """Some of these rows must be read one by one. Never leaves this package."""


@dataclass(frozen=True, slots=True)
class Reader:
    """What the records are to become: a schema, its columns, and the schema as fastavro wants it."""

    record: Record
    columns: pa.Schema
    parsed: Any

    @classmethod
    def of(cls, record: Record, columns: pa.Schema) -> Reader:
        """Tie a schema to its columns, which must have its names in its order."""
        names = [field.name for field in record.fields]
        if names != columns.names:
            raise ValueError(f"the columns {columns.names} are not the fields {names}")
        return cls(record, columns, _for_fastavro(record))


class Writer:
    """Turns data of one writer's schema into the reader's columns.

    `problems` says why no record of this schema can be read; it is empty otherwise. `by_column` is False for a
    schema that pyruhvro or Arrow cannot do as a whole: then every row goes through `read_rows`.
    """

    def __init__(self, writer: Record, reader: Reader) -> None:
        self._record = writer
        self._reader = reader
        resolution = resolve(writer, reader.record)
        self.problems = resolution.problems
        self._parsed = _for_fastavro(writer)
        self._flat = FlatRecord.of(writer)
        self._text = schema_text(writer, extra_fields=(_END_FIELD,))
        self._columns = tuple(
            _Column(source, wanted) for source, wanted in zip(resolution.sources, reader.columns, strict=True)
        )
        self.by_column = False  # until the trial, in which rows are read one by one to compare with
        self.by_column = resolution.by_column and carries(writer) and self._trial_succeeds()

    def read_columns(self, values: FramedValues) -> pa.RecordBatch:
        """Return the reader's columns of many framed values at once.

        Raises NotInColumnsError if any of them has a fault, or needs to be looked at alone.
        """
        written = self._read_nested(values) if self._flat is None else self._flat.read(values)
        if written is None:
            raise NotInColumnsError
        arrays = [column.of(written, len(values)) for column in self._columns]
        return pa.RecordBatch.from_arrays(arrays, schema=self._reader.columns)

    def _read_nested(self, values: FramedValues) -> list[pa.Array[Any]] | None:
        try:
            batch = decode_columns(values.datums(_END_MARK), self._text)
        except ColumnarAvroError:
            return None
        *columns, marks = batch.columns
        return columns if (np.asarray(marks).view(np.int64) == _END_NUMBER).all() else None

    def read_rows(self, values: FramedValues) -> tuple[pa.RecordBatch, list[int], dict[int, str]]:
        """Return the reader's columns of those framed values that can be read, looking at each.

        Also returns the positions in `values` of the batch's rows, and the fault of the others by position.
        """
        faults: dict[int, str] = {}
        datums = values.datums(b"")
        for at, datum in enumerate(datums):
            fault = datum_fault(datum, self._record)
            if fault is not None:
                faults[at] = fault
        sound = [at for at in range(len(datums)) if at not in faults]
        if faults and self.by_column:
            try:
                return self.read_columns(values.take(sound)), sound, faults
            except NotInColumnsError:
                pass
        batches, accepted = [], []
        for at in sound:
            try:
                row = fastavro.schemaless_reader(io.BytesIO(datums[at]), self._parsed, self._reader.parsed)
                batches.append(pa.RecordBatch.from_pylist([cast("dict[str, Any]", row)], self._reader.columns))
            except Exception as error:  # noqa: BLE001 - fastavro raises IndexError, KeyError and others too
                faults[at] = f"{type(error).__name__}: {error}"
            else:
                accepted.append(at)
        return one_batch(batches, self._reader.columns), accepted, faults

    def _trial_succeeds(self) -> bool:
        trials = FramedValues.of(
            [bytes(HEADER_SIZE) + made_up_datum(self._record, rich=rich) for rich in (False, True)]
        )
        # One of them may have a null where ours requires a value.
        expected, readable, _ = self.read_rows(trials)
        try:
            return bool(readable) and self.read_columns(trials.take(readable)).equals(expected)
        except NotInColumnsError:
            return False


def one_batch(batches: list[pa.RecordBatch], columns: pa.Schema) -> pa.RecordBatch:
    """Return the rows of all batches in one; all have these columns."""
    if not batches:
        return pa.RecordBatch.from_pylist([], schema=columns)
    return pa.Table.from_batches(batches, columns).combine_chunks().to_batches()[0]


class _Column:
    """One of the reader's columns, from one of the writer's or from the default."""

    def __init__(self, source: Source, wanted: pa.Field[Any]) -> None:
        self._position = source.position
        self._wanted = wanted
        self._default = pa.scalar(source.field.default, wanted.type) if source.position is None else None

    def of(self, written: list[pa.Array[Any]], n_rows: int) -> pa.Array[Any]:
        if self._position is None:
            return pa.repeat(self._default, n_rows)
        column = written[self._position]
        if column.null_count and not self._wanted.nullable:
            raise NotInColumnsError
        if column.type == self._wanted.type:
            return column
        if pa.types.is_int64(column.type) and pa.types.is_timestamp(self._wanted.type):
            return column.view(self._wanted.type)  # as a cast does, without its 10 us
        try:
            # Unsafe only where rounding is what Avro's promotion does; a number too large for an int must fail.
            return column.cast(self._wanted.type, safe=not pa.types.is_floating(self._wanted.type))
        except pa.ArrowInvalid as error:
            raise NotInColumnsError from error


def _for_fastavro(record: Record) -> Any:
    return fastavro.parse_schema(json.loads(schema_text(record)))
