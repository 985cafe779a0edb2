"""Values as Kafka has them, side by side in one buffer: no Python object a value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from numba import njit

from schemas.wire import HEADER_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_POWERS = 256 ** np.arange(HEADER_SIZE - 1, -1, -1, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class FramedValues:
    """Framed values: value i is `content[starts[i]:ends[i]]`.

    Attributes:
        content: uint8, read-only.
        starts, ends: int64, aligned.
    """

    content: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    _raw: list[bytes] = field(default_factory=list, repr=False)

    @classmethod
    def of(cls, values: Sequence[bytes] | FramedValues) -> FramedValues:
        """Lay out values, in order; what is laid out already is returned as it is."""
        if isinstance(values, FramedValues):
            return values
        ends = np.cumsum(np.fromiter(map(len, values), np.int64, len(values)))
        starts = np.zeros(len(values), np.int64)
        starts[1:] = ends[:-1]
        raw = b"".join(values)
        return cls(np.frombuffer(raw, np.uint8), starts, ends, [raw])

    def __len__(self) -> int:
        return len(self.starts)

    def take(self, rows: slice | npt.NDArray[np.int64] | list[int]) -> FramedValues:
        """Return some of the values, in the order given; the content is shared."""
        return FramedValues(self.content, self.starts[rows], self.ends[rows], self._raw)

    def __iter__(self) -> Iterator[bytes]:
        raw = self._as_bytes()
        return (raw[start:end] for start, end in zip(self.starts.tolist(), self.ends.tolist(), strict=True))

    def datums(self, behind: bytes) -> list[bytes]:
        """Return the values without their headers, each with `behind` after it."""
        raw = self._as_bytes()
        starts = (self.starts + HEADER_SIZE).tolist()
        return [raw[start:end] + behind for start, end in zip(starts, self.ends.tolist(), strict=True)]

    def by_header(self) -> Iterator[tuple[bytes, npt.NDArray[np.int64], FramedValues]]:
        """Group by the first five bytes (fewer, if a value has fewer): yield these, the positions and the values.

        Positions ascend within a group.
        """
        if not len(self):
            return
        if _share_header(self.content, self.starts, self.ends):
            first = int(self.starts[0])
            yield self.content[first : first + HEADER_SIZE].tobytes(), np.arange(len(self)), self
            return
        whole = self.ends - self.starts >= HEADER_SIZE
        headers = -1 - np.arange(len(self), dtype=np.int64)  # those that are too short are alone
        headers[whole] = self._headers(self.starts[whole])
        order = np.argsort(headers, kind="stable")
        cuts = np.flatnonzero(np.diff(headers[order])) + 1
        for rows in np.split(order, cuts):
            start = int(self.starts[rows[0]])
            end = min(int(self.ends[rows[0]]), start + HEADER_SIZE)
            yield self.content[start:end].tobytes(), rows, self.take(rows)

    def _headers(self, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the first five bytes as one number each."""
        numbers: npt.NDArray[np.int64] = self.content[starts[:, None] + np.arange(HEADER_SIZE)] @ _POWERS
        return numbers

    def _as_bytes(self) -> bytes:
        if not self._raw:
            self._raw.append(self.content.tobytes())
        return self._raw[0]


@njit(cache=True, nogil=True)
def _share_header(
    content: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> bool:
    """Return whether all values have a whole header, and the same one."""
    for row in range(len(starts)):
        if ends[row] - starts[row] < HEADER_SIZE:
            return False
        for at in range(HEADER_SIZE):
            if content[starts[row] + at] != content[starts[0] + at]:
                return False
    return True
