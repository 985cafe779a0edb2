"""Avro data of flat records to Arrow columns, by a kernel that reads them where Kafka left them.

Flat is a record of texts, whole numbers and doubles, each required or in a union with null: every product of ours
that is not labelled. What it gives is what pyruhvro gives for the same record, in a third of the time, without a
Python object a value, and with every fault found: `schemas.columnar_avro` is for the other records.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from schemas.avro_types import NULL, AvroType, Primitive, Record, Union, without_null
from schemas.framed import FramedValues
from schemas.wire import HEADER_SIZE

_TEXT: Final = 0
_WHOLE: Final = 1
_DOUBLE: Final = 2
_KINDS: Final = {"string": _TEXT, "int": _WHOLE, "long": _WHOLE, "double": _DOUBLE}

_MOST_BYTES: Final = 2**31 - 1  # of a column's text, as its offsets can say


@dataclass(frozen=True, slots=True)
class FlatRecord:
    """How to read a flat record.

    Attributes:
        kinds: int64 (n_fields): text, whole number or double.
        null_branches: int64 (n_fields): the branch of the union that is null, or -1 where there is no union.
        places: int64 (n_fields): which of the texts, or of the numbers, a field is.
    """

    kinds: npt.NDArray[np.int64]
    null_branches: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]
    n_texts: int
    n_numbers: int

    @classmethod
    def of(cls, record: Record) -> FlatRecord | None:
        """Return how to read records of this schema; None if it is not flat."""
        kinds = [_kind(field.type) for field in record.fields]
        if not kinds or -1 in kinds:
            return None
        is_text = np.array(kinds) == _TEXT
        return cls(
            kinds=np.array(kinds, np.int64),
            null_branches=np.array([_null_branch(field.type) for field in record.fields], np.int64),
            places=np.where(is_text, np.cumsum(is_text) - 1, np.cumsum(~is_text) - 1).astype(np.int64),
            n_texts=int(is_text.sum()),
            n_numbers=int((~is_text).sum()),
        )

    def read(self, values: FramedValues) -> list[pa.Array[Any]] | None:
        """Return a column a field: string, int64 or double, with nulls where a union allows them.

        All text is valid UTF-8. None if any of the values has a fault, or all are too much for one column.
        """
        n_rows = len(values)
        spans = np.empty((self.n_texts, n_rows), np.int64)
        offsets = np.zeros((self.n_texts, n_rows + 1), np.int32)
        numbers = np.zeros((self.n_numbers, n_rows), np.int64)
        validity = np.zeros((len(self.kinds), (n_rows + 7) // 8), np.uint8)
        null_counts = np.zeros(len(self.kinds), np.int64)
        if int((values.ends - values.starts).sum()) > _MOST_BYTES or not _parse(
            values.content,
            values.starts,
            values.ends,
            self.kinds,
            self.null_branches,
            self.places,
            spans,
            offsets,
            numbers,
            validity,
            null_counts,
        ):
            return None
        text = np.empty(int(offsets[:, -1].sum()), np.uint8)
        is_ascii = _copy(values.content, spans, offsets, text)
        arrays = self._arrays(n_rows, pa.py_buffer(text.data), offsets, numbers, validity, null_counts.tolist())
        if not is_ascii:
            try:
                for array in arrays:
                    array.validate(full=True)
            except pa.ArrowInvalid:
                return None
        return arrays

    def _arrays(
        self,
        n_rows: int,
        text: pa.Buffer,
        offsets: npt.NDArray[np.int32],
        numbers: npt.NDArray[np.int64],
        validity: npt.NDArray[np.uint8],
        null_counts: list[int],
    ) -> list[pa.Array[Any]]:
        arrays: list[pa.Array[Any]] = []
        start = 0
        for field, kind in enumerate(self.kinds.tolist()):
            place = int(self.places[field])
            is_valid = pa.py_buffer(validity[field].data) if null_counts[field] else None
            if kind == _TEXT:
                size = int(offsets[place, -1])
                buffers = [is_valid, pa.py_buffer(offsets[place].data), text.slice(start, size)]
                start += size
                arrays.append(pa.Array.from_buffers(pa.string(), n_rows, buffers, null_counts[field]))
            else:
                buffers = [is_valid, pa.py_buffer(numbers[place].data)]
                number = pa.int64() if kind == _WHOLE else pa.float64()
                arrays.append(pa.Array.from_buffers(number, n_rows, buffers, null_counts[field]))
        return arrays


def _kind(tree: AvroType) -> int:
    core = without_null(tree)
    return _KINDS.get(core.name, -1) if isinstance(core, Primitive) else -1


def _null_branch(tree: AvroType) -> int:
    return tree.branches.index(NULL) if isinstance(tree, Union) else -1


@njit(cache=True, nogil=True)
def _number(content: npt.NDArray[np.uint8], at: np.uint64, end: np.uint64) -> tuple[np.int64, np.uint64]:
    """Read a number in zigzag; return it and where it ends, which is 0 if it does not end in time."""
    bits = np.uint64(0)
    shift = np.uint64(0)
    while at < end and shift < np.uint64(70):
        byte = content[at]
        at += np.uint64(1)
        bits |= np.uint64(byte & 0x7F) << shift
        if byte < 0x80:
            return np.int64(bits >> np.uint64(1)) ^ -np.int64(bits & np.uint64(1)), at
        shift += np.uint64(7)
    return np.int64(0), np.uint64(0)


@njit(cache=True, nogil=True)
def _parse(
    content: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    kinds: npt.NDArray[np.int64],
    null_branches: npt.NDArray[np.int64],
    places: npt.NDArray[np.int64],
    spans: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int32],
    numbers: npt.NDArray[np.int64],
    validity: npt.NDArray[np.uint8],
    null_counts: npt.NDArray[np.int64],
) -> bool:
    """Find where the texts are, and read the rest; return whether every datum is whole and nothing follows it."""
    for row in range(len(starts)):
        at = np.uint64(starts[row] + HEADER_SIZE)
        end = np.uint64(ends[row])
        for field in range(len(kinds)):
            place = places[field]
            is_null = False
            if null_branches[field] >= 0:
                branch, at = _number(content, at, end)
                if at == 0 or branch < 0 or branch > 1:
                    return False
                is_null = branch == null_branches[field]
            if is_null:
                null_counts[field] += 1
            else:
                validity[field, row >> 3] |= np.uint8(1 << (row & 7))
            if kinds[field] == _TEXT:
                size = np.int64(0)
                if not is_null:
                    size, at = _number(content, at, end)
                    if at == 0 or size < 0 or np.uint64(size) > end - at:
                        return False
                spans[place, row] = np.int64(at)
                offsets[place, row + 1] = offsets[place, row] + size
                at += np.uint64(size)
            elif is_null:
                continue
            elif kinds[field] == _WHOLE:
                numbers[place, row], at = _number(content, at, end)
                if at == 0:
                    return False
            else:
                if end - at < np.uint64(8):
                    return False
                bits = np.uint64(0)
                for byte in range(8):
                    bits |= np.uint64(content[at + np.uint64(byte)]) << np.uint64(8 * byte)
                numbers[place, row] = np.int64(bits)
                at += np.uint64(8)
        if at != end:
            return False
    return True


@njit(cache=True, nogil=True)
def _copy(
    content: npt.NDArray[np.uint8],
    spans: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int32],
    text: npt.NDArray[np.uint8],
) -> bool:
    """Copy the texts, field by field; return whether all of it is ASCII."""
    seen = np.uint8(0)
    to = 0
    for field in range(len(spans)):
        for row in range(spans.shape[1]):
            start = spans[field, row]
            size = offsets[field, row + 1] - offsets[field, row]
            for at in range(size):
                byte = content[start + at]
                seen |= byte
                text[to + at] = byte
            to += size
    return bool(seen < 0x80)
