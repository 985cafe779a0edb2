"""Bytes from Kafka to one Arrow batch, and a reason for each value that does not become a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from schemas.avro_types import parse_record
from schemas.errors import InvalidRecordError
from schemas.framed import FramedValues
from schemas.wire import SchemaId, read_header
from schemas.writers import NotInColumnsError, Reader, Writer, one_batch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from schemas.registry import SchemaRegistry

#: A list that failed is halved down to so many rows, which are then looked at one by one: a call to pyruhvro
#: costs as much as a look at two to four rows, and a look (a walk in Python) some 15 us a row.
_READ_ONE_BY_ONE: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A value or row that cannot be used. `row` is its position in the sequence or batch that was given."""

    row: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedBatch:
    """What became of a sequence of values: each is either a row of `batch` or in `rejected`.

    Row i of `batch` came from `values[rows[i]]`; `rows` and the rows of `rejected` ascend. `schema_ids` are
    those of the accepted values.
    """

    batch: pa.RecordBatch
    rows: npt.NDArray[np.int64]
    rejected: tuple[Rejected, ...]
    schema_ids: frozenset[SchemaId]


class Decoder:
    """Decodes values of any writer's schema into the columns of one reader's schema.

    Writers' schemas are fetched by id when first met, and kept. May be used by several threads.
    """

    def __init__(self, registry: SchemaRegistry, schema: str, columns: pa.Schema) -> None:
        self._registry = registry
        self._reader = Reader.of(parse_record(schema), columns)
        self._writers: dict[SchemaId, Writer | Unreadable] = {}

    def decode(self, values: Sequence[bytes] | FramedValues) -> DecodedBatch:
        """Decode framed values, in order; the batch has exactly the decoder's columns, all text valid UTF-8.

        The values are bytes, or laid out already, and then read where they lie.

        A value that is damaged, or written with a schema that the registry does not know or that has not what ours
        needs, is rejected with the reason and does not disturb its neighbours: what becomes of a value never
        depends on the others. Null values (tombstones) must be taken out before.

        Blocks on the registry when a schema id is new. Raises DependencyUnavailableError if it does not answer:
        then nothing is known about any of the values.
        """
        pieces: list[_Piece] = []
        rejected: list[Rejected] = []
        schema_ids: set[SchemaId] = set()
        for start, rows, framed in FramedValues.of(values).by_header():
            try:
                schema_id = read_header(start)
                writer = self._writer(schema_id)
            except InvalidRecordError as error:
                rejected += [Rejected(row=int(row), reason=error.reason) for row in rows]
                continue
            for piece in _read(writer, schema_id, framed, rows):
                rejected += piece.rejected
                if piece.rows.size:
                    pieces.append(piece)
                    schema_ids.add(schema_id)
        batch, rows_in_order = _put_together(pieces, self._reader.columns)
        rejected.sort(key=lambda one: one.row)
        return DecodedBatch(
            batch=batch, rows=rows_in_order, rejected=tuple(rejected), schema_ids=frozenset(schema_ids)
        )

    def _writer(self, schema_id: SchemaId) -> Writer:
        writer = self._writers.get(schema_id)
        if writer is None:
            text = self._registry.schema_by_id(schema_id)  # unknown ids are not kept: they may become known
            writer = self._writers[schema_id] = _open(schema_id, text, self._reader)
        if isinstance(writer, Unreadable):
            raise InvalidRecordError(writer.reason)
        return writer


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A schema of which no record can be read, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Piece:
    rows: npt.NDArray[np.int64]
    batch: pa.RecordBatch
    rejected: list[Rejected]


def _open(schema_id: SchemaId, text: str, reader: Reader) -> Writer | Unreadable:
    try:
        writer = Writer(parse_record(text), reader)
    except InvalidRecordError as error:
        return Unreadable(f"schema id {schema_id} is {error.reason}")
    if writer.problems:
        name = reader.record.name.rpartition(".")[2]
        return Unreadable(f"schema id {schema_id} cannot be read as {name}: {'; '.join(writer.problems)}")
    return writer


def _read(
    writer: Writer, schema_id: SchemaId, values: FramedValues, rows: npt.NDArray[np.int64]
) -> Iterator[_Piece]:
    if writer.by_column:
        try:
            yield _Piece(rows, writer.read_columns(values), [])
        except NotInColumnsError:
            pass
        else:
            return
        if len(values) > _READ_ONE_BY_ONE:
            half = len(values) // 2
            yield from _read(writer, schema_id, values.take(slice(half)), rows[:half])
            yield from _read(writer, schema_id, values.take(slice(half, None)), rows[half:])
            return
    batch, accepted, faults = writer.read_rows(values)
    rejected = [
        Rejected(row=int(rows[at]), reason=f"value does not decode with schema id {schema_id}: {fault}")
        for at, fault in faults.items()
    ]
    yield _Piece(rows[accepted], batch, rejected)


def _put_together(pieces: list[_Piece], columns: pa.Schema) -> tuple[pa.RecordBatch, npt.NDArray[np.int64]]:
    if not pieces:
        return one_batch([], columns), np.empty(0, np.int64)
    if len(pieces) == 1:
        return pieces[0].batch, pieces[0].rows
    rows = np.concatenate([piece.rows for piece in pieces])
    batch = one_batch([piece.batch for piece in pieces], columns)
    order = np.argsort(rows, kind="stable")
    if (order[1:] > order[:-1]).all():
        return batch, rows
    return batch.take(order), rows[order]
