"""Decisions in columns, to be found by the input that each was made from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.taxonomy import Path

I64 = npt.NDArray[np.int64]

#: What may become of an input, by number. The first three are the schema's own decisions.
KINDS: Final = ("accepted", "backed_off", "review", "withdrawn", "dead letter", "nothing")
ACCEPTED, BACKED_OFF, REVIEW, WITHDRAWN, DEAD_LETTER, NOTHING = range(len(KINDS))
N_DECIDED: Final = 3

#: Between the levels of a path while it is text. Labels have none: it is no character of any script.
_LEVEL: Final = "\x1f"


class Rows(NamedTuple):
    """What became of n inputs, a row each.

    Attributes:
        partition: int64 (n), of the input; offset: int64 (n), in it.
        kind: uint8 (n), which of `KINDS`.
        path: int64 (n), the category's number in `Paths`; 0 is none.
        confidence: float64 (n), not a number where there is no decision.
    """

    partition: I64
    offset: I64
    kind: npt.NDArray[np.uint8]
    path: I64
    confidence: npt.NDArray[np.float64]

    @classmethod
    def joined(cls, parts: Sequence[Rows]) -> Rows:
        """Return the rows of all parts, in the order given."""
        if not parts:
            none = np.empty(0, np.int64)
            return cls(none, none, np.empty(0, np.uint8), none, np.empty(0))
        return cls(
            partition=np.concatenate([one.partition for one in parts]),
            offset=np.concatenate([one.offset for one in parts]),
            kind=np.concatenate([one.kind for one in parts]),
            path=np.concatenate([one.path for one in parts]),
            confidence=np.concatenate([one.confidence for one in parts]),
        )

    def take(self, chosen: npt.NDArray[np.bool_] | I64) -> Rows:
        """Return some of the rows."""
        return Rows(
            partition=self.partition[chosen],
            offset=self.offset[chosen],
            kind=self.kind[chosen],
            path=self.path[chosen],
            confidence=self.confidence[chosen],
        )


@dataclass(slots=True)
class Paths:
    """Numbers for category paths, so that millions of decisions hold each path once; number 0 is no path."""

    known: list[Path] = field(default_factory=lambda: [()])
    _numbers: dict[str, int] = field(default_factory=dict)

    def numbers(self, column: pa.Array[Any]) -> I64:
        """Return the number of each path of a column of lists of text."""
        joined: Any = pc.binary_join(column, _LEVEL)
        texts = joined.dictionary_encode()
        found = [self._number(str(text)) for text in texts.dictionary.to_pylist()]
        return np.array(found, np.int64)[texts.indices.to_numpy()] if found else np.empty(0, np.int64)

    def _number(self, text: str) -> int:
        number = self._numbers.get(text)
        if number is None:
            number = self._numbers[text] = len(self.known)
            self.known.append(tuple(text.split(_LEVEL)))
        return number


def rows_of_events(events: pa.RecordBatch, paths: Paths) -> Rows:
    """Return the decisions of events (`columns.PRODUCT_CATEGORIZED`)."""
    source: Any = events["source"]
    kinds = pc.index_in(events["decision"], pa.array(KINDS[:N_DECIDED]))
    return Rows(
        partition=source.field("partition").to_numpy().astype(np.int64),
        offset=source.field("offset").to_numpy(),
        kind=kinds.to_numpy(zero_copy_only=False).astype(np.uint8),
        path=paths.numbers(events["category_path"]),
        confidence=events["confidence"].to_numpy(),
    )


def rows_without_decision(places: Iterable[tuple[int, int]], kind: int) -> Rows:
    """Return rows for inputs, by partition and offset, on which no model decided."""
    where = np.array([*places], np.int64).reshape(-1, 2)
    n = len(where)
    return Rows(where[:, 0], where[:, 1], np.full(n, kind, np.uint8), np.zeros(n, np.int64), np.full(n, np.nan))


class Lookup:
    """Finds rows by their input. Of several for the same input the last one given counts.

    Attributes:
        rows: one an input, sorted.
        n_repeated: how many others there were.
    """

    def __init__(self, rows: Rows) -> None:
        order = np.lexsort((np.arange(len(rows.offset)), rows.offset, rows.partition))
        partition, offset = rows.partition[order], rows.offset[order]
        is_last = np.ones(len(order), np.bool_)
        is_last[:-1] = (partition[1:] != partition[:-1]) | (offset[1:] != offset[:-1])
        self.rows = rows.take(order[is_last])
        self.n_repeated = len(order) - len(self.rows.offset)
        numbers, firsts, counts = np.unique(self.rows.partition, return_index=True, return_counts=True)
        self._spans = {
            int(number): (int(first), int(first + count))
            for number, first, count in zip(numbers, firsts, counts, strict=True)
        }

    def find(self, partition: I64, offset: I64) -> Rows:
        """Return a row for each input, of the kind NOTHING where there is none."""
        n = len(offset)
        at = np.full(n, -1, np.int64)
        for number in np.unique(partition).tolist():
            first, end = self._spans.get(number, (0, 0))
            if first == end:
                continue
            here = np.flatnonzero(partition == number)
            nth = first + np.searchsorted(self.rows.offset[first:end], offset[here])
            nth = np.minimum(nth, end - 1)
            is_there = self.rows.offset[nth] == offset[here]
            at[here[is_there]] = nth[is_there]
        found = Rows(partition, offset, np.full(n, NOTHING, np.uint8), np.zeros(n, np.int64), np.full(n, np.nan))
        is_there = at >= 0
        there = self.rows.take(at[is_there])
        found.kind[is_there], found.path[is_there] = there.kind, there.path
        found.confidence[is_there] = there.confidence
        return found
