"""Quick answers to "is nothing wrong in this whole column?": a kernel over Arrow's buffers, some 2 us a call.

Each says True only if it is sure, so that whoever asks looks row by row, with Arrow's own functions, where it says
False: they know all of Unicode, and what lies behind a null.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

#: By Arrow's number of the type: types themselves are slow to look up.
_OFFSETS: Final[dict[int, Any]] = {
    pa.string().id: np.int32,
    pa.binary().id: np.int32,
    pa.large_string().id: np.int64,
    pa.large_binary().id: np.int64,
}
_NUMBERS: Final[dict[int, Any]] = {pa.int64().id: np.int64, pa.float64().id: np.float64}
_NO_BYTES: Final = np.frombuffer(b"", np.uint8)


class Texts(NamedTuple):
    """A column of texts or bytes: row r is `content[offsets[r]:offsets[r + 1]]`.

    `validity` is Arrow's bitmap, empty if no row is null, in which row 0 has bit `first_bit`.
    """

    content: npt.NDArray[np.uint8]
    offsets: npt.NDArray[Any]
    validity: npt.NDArray[np.uint8]
    first_bit: int

    @classmethod
    def of(cls, column: pa.Array[Any]) -> Texts | None:
        """Return the column without copying it; None if it has no rows or another layout."""
        kind = _OFFSETS.get(column.type.id)
        if kind is None or not len(column):
            return None
        validity, offsets, content = column.buffers()
        first = column.offset
        bounds = _bytes_of(offsets).view(kind)[first : first + len(column) + 1]
        return cls(_bytes_of(content), bounds, _bytes_of(validity if column.null_count else None), first)


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """Bytes where they lie: value i is `content[starts[i]:starts[i] + sizes[i]]`, null where the size is -1.

    Attributes:
        content: uint8, read-only.
        starts: int64; sizes: int32.
    """

    content: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.sizes)

    def to_pylist(self) -> list[bytes | None]:
        """Return an object each."""
        places = zip(self.starts.tolist(), self.sizes.tolist(), strict=True)
        return [None if size < 0 else self.content[at : at + size].tobytes() for at, size in places]


def have_sizes(texts: Texts | None, smallest: int, largest: int) -> bool:
    """Return whether all texts, the nulls among them, surely have so many bytes."""
    return texts is not None and bool(_have_sizes(texts.offsets, smallest, largest))


def are_visible(texts: Texts | None) -> bool:
    """Return whether every text surely has a character that is no space; here one of ASCII."""
    return texts is not None and bool(_are_visible(texts.content, texts.offsets))


def are_three_capitals(texts: Texts | None) -> bool:
    """Return whether every text that is not null surely is three letters from A to Z."""
    return texts is not None and bool(_are_three_capitals(*texts))


def which_are(texts: Texts | None, word: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return which rows, none of which is null, are these bytes (uint8, read-only)."""
    if texts is None:
        return np.zeros(0, np.bool_)
    found = np.empty(len(texts.offsets) - 1, np.bool_)
    _which_are(texts.content, texts.offsets, word, found)
    return found


def are_same(texts: Texts | None, spans: Spans) -> bool:
    """Return whether every row surely has the same bytes as its span, and none is null."""
    return (
        texts is not None
        and not texts.validity.size
        and bool(_are_same(texts.content, texts.offsets, spans.content, spans.starts, spans.sizes))
    )


def are_finite_and_not_negative(column: pa.Array[Any]) -> bool:
    """Return whether all of these int64 or double are surely 0 or more, and finite."""
    kind = _NUMBERS.get(column.type.id)
    if kind is None:
        return False
    numbers = _bytes_of(column.buffers()[1]).view(kind)
    return bool(_are_finite_and_not_negative(numbers[column.offset : column.offset + len(column)]))


def _bytes_of(buffer: pa.Buffer | None) -> npt.NDArray[np.uint8]:
    if buffer is None:
        return _NO_BYTES
    content = np.frombuffer(memoryview(buffer), np.uint8)
    content.flags.writeable = False  # one type for the kernels, whether or not Arrow calls the buffer mutable
    return content


@njit(cache=True, nogil=True)
def _have_sizes(offsets: npt.NDArray[Any], smallest: int, largest: int) -> bool:
    good = True
    for row in range(len(offsets) - 1):
        size = offsets[row + 1] - offsets[row]
        good &= (size >= smallest) & (size <= largest)
    return good


@njit(cache=True, nogil=True)
def _are_visible(content: npt.NDArray[np.uint8], offsets: npt.NDArray[Any]) -> bool:
    for row in range(len(offsets) - 1):
        visible = False
        for at in range(offsets[row], offsets[row + 1]):
            if 0x20 < content[at] < 0x7F:
                visible = True
                break
        if not visible:
            return False
    return True


@njit(cache=True, nogil=True)
def _are_three_capitals(
    content: npt.NDArray[np.uint8], offsets: npt.NDArray[Any], validity: npt.NDArray[np.uint8], first_bit: int
) -> bool:
    for row in range(len(offsets) - 1):
        start = offsets[row]
        size = offsets[row + 1] - start
        if size == 3:
            for at in range(start, start + 3):
                if not 0x41 <= content[at] <= 0x5A:
                    return False
            continue
        bit = first_bit + row
        if size != 0 or len(validity) == 0 or (validity[bit >> 3] >> (bit & 7)) & 1:
            return False
    return True


@njit(cache=True, nogil=True)
def _are_same(
    content: npt.NDArray[np.uint8],
    offsets: npt.NDArray[Any],
    other_content: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int32],
) -> bool:
    for row in range(len(offsets) - 1):
        start, other_start = offsets[row], starts[row]
        size = offsets[row + 1] - start
        if sizes[row] != size:
            return False
        for at in range(size):
            if content[start + at] != other_content[other_start + at]:
                return False
    return True


@njit(cache=True, nogil=True)
def _which_are(
    content: npt.NDArray[np.uint8],
    offsets: npt.NDArray[Any],
    word: npt.NDArray[np.uint8],
    found: npt.NDArray[np.bool_],
) -> None:
    for row in range(len(offsets) - 1):
        start = offsets[row]
        same = offsets[row + 1] - start == len(word)
        if same:
            for at in range(len(word)):
                same &= content[start + at] == word[at]
        found[row] = same


@njit(cache=True, nogil=True)
def _are_finite_and_not_negative(numbers: npt.NDArray[Any]) -> bool:
    good = True
    for row in range(len(numbers)):
        good &= (numbers[row] >= 0) & (numbers[row] < np.inf)
    return good
