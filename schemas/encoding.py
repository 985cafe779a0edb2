"""One Arrow batch to values for Kafka."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.avro_types import parse_record
from schemas.encoding_kernel import encode_rows
from schemas.encoding_plan import Column, EncodingPlan, NotInPlanError
from schemas.errors import SortlineError
from schemas.wire import SchemaId, header


class Datums(NamedTuple):
    """Avro data side by side: datum i is `content[bounds[i]:bounds[i + 1]]`.

    Attributes:
        content: uint8.
        bounds: int32, one more than there are data.
    """

    content: npt.NDArray[np.uint8]
    bounds: npt.NDArray[np.int32]


class Encoder:
    """Encodes columns that mirror one of our schemas; `schema_id` is what the registry gave for it.

    May be used by several threads.

    Attributes:
        frame: the five bytes that come before each datum to make it a value.
    """

    def __init__(self, schema: str, schema_id: SchemaId) -> None:
        record = parse_record(schema)
        self._name = record.name.rpartition(".")[2]
        self._plan = EncodingPlan.of(record)
        self.frame: Final = header(schema_id)

    def encode(self, batch: pa.RecordBatch) -> list[bytes]:
        """Return one framed value a row, in order. Raises as `encode_columns` does."""
        content, bounds = self.encode_columns(
            dict(zip(batch.schema.names, batch.columns, strict=True)), batch.num_rows
        )
        raw, ends = content.tobytes(), bounds.tolist()
        return [self.frame + raw[start:end] for start, end in itertools.pairwise(ends)]

    def encode_columns(self, columns: Mapping[str, Column], n_rows: int) -> Datums:
        """Return one datum a row, in order, without the frame; no Python object a row.

        A column has the type that `arrow_schema` gives its field, and n_rows rows, or one that stands for all (no
        list can). A record may also be a mapping of its fields' columns. Columns that the schema lacks are left
        out.

        Raises SortlineError, and encodes nothing, if the columns are not what the schema describes: one is
        missing, of another type, null where a value is required, or has a symbol that the schema lacks. That is a
        fault of the caller.
        """
        plan = self._plan
        bounds = np.zeros(n_rows + 1, np.int32)
        try:
            places = plan.places(columns, n_rows)
        except NotInPlanError as error:
            raise SortlineError(f"the batch cannot be encoded as {self._name}: {error}") from error
        at_fault, content = encode_rows(plan.steps, plan.symbols, plan.symbol_bounds, places, n_rows, bounds)
        if at_fault >= 0:
            what = (
                "it is too large" if at_fault == len(plan.names) else f"{plan.names[at_fault]} is null or unknown"
            )
            raise SortlineError(f"the batch cannot be encoded as {self._name}: {what}")
        return Datums(content, bounds)
