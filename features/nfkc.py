"""Unicode normalization form KC inside numba kernels, for the texts that it may change.

Most texts, accented, Cyrillic or Chinese ones included, are their own NFKC, which one lookup a code point shows
(the quick check of Unicode's annex 15): they are not touched. The others have a kernel of their own, for two
reasons. The result must not change with a library's version: `unicodedata` changes with Python, and Arrow's
`utf8_normalize` decomposes without composing up to 25.0.1 (https://github.com/apache/arrow/issues/51225). And time
must stay linear in 500 kB of nothing but marks: the usual implementations sort each run of marks by insertion.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
from numba import njit

from features.arrow_columns import TextColumn, no_text
from features.characters import COMPOSES, UNSTABLE, CharacterTables, character_tables
from features.utf8 import decode_at, encode_at, is_valid

_LONG_RUN = 16  # from so many marks on, they are sorted by counting

# Hangul syllables are arithmetic (Unicode, section 3.12): S = 0xAC00 + (L * 21 + V) * 28 + T.
_S, _L, _V, _T = 0xAC00, 0x1100, 0x1161, 0x11A7
_N_L, _N_V, _N_T = 19, 21, 28
_N_S = _N_L * _N_V * _N_T


def normalized_rows(column: TextColumn, tables: CharacterTables) -> tuple[TextColumn, npt.NDArray[np.int64]]:
    """Return the rows of the column that NFKC may change, ascending, and before them what it makes of these.

    Row k of the column returned belongs to the k-th of these rows. Other rows, and nulls, are as they are.
    """
    rows = np.empty(len(column.offsets) - 1, np.int64)
    n_rows, n_points, most_points = _unstable_rows(
        column.text,
        column.offsets,
        column.validity,
        column.first_bit,
        tables.classes,
        tables.decomposed,
        tables.decompositions,
        rows,
    )
    rows = rows[:n_rows]
    if n_rows == 0:
        _compile()
        return no_text(), rows
    return _changed(column, rows, n_points, most_points, tables), rows


@functools.cache
def _compile() -> None:
    """Compile the other kernel too, so that the first text in need of it does not keep a stream waiting."""
    _changed(no_text(), np.empty(0, np.int64), 0, 0, character_tables())


def _changed(
    column: TextColumn, rows: npt.NDArray[np.int64], n_points: int, most_points: int, tables: CharacterTables
) -> TextColumn:
    offsets = np.zeros(len(rows) + 1, np.int64)
    text = np.empty(4 * n_points, np.uint8)
    _normalize(
        column.text,
        column.offsets,
        rows,
        tables.combining,
        tables.decomposed,
        tables.decompositions,
        tables.classes,
        tables.pairs,
        tables.composed,
        np.empty(most_points, np.int32),
        np.empty(most_points, np.int32),
        text,
        offsets,
    )
    text.flags.writeable = False  # as other columns: the kernels that follow are compiled for one type
    return TextColumn(text=text, offsets=offsets, validity=text[:0], first_bit=0)


@njit(cache=True, nogil=True)
def _n_decomposed(code: int, decomposed: npt.NDArray[np.int32], decompositions: npt.NDArray[np.int32]) -> int:
    """Return how many code points one decomposes into, at most."""
    if code < len(decomposed) and decomposed[code]:
        return int(decompositions[decomposed[code]])
    return 3 if _S <= code < _S + _N_S else 1


@njit(cache=True, nogil=True)
def _unstable_rows(
    text: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    validity: npt.NDArray[np.uint8],
    first_bit: int,
    classes: npt.NDArray[np.uint8],
    decomposed: npt.NDArray[np.int32],
    decompositions: npt.NDArray[np.int32],
    rows: npt.NDArray[np.int64],
) -> tuple[int, int, int]:
    """Write the rows that NFKC may change into `rows`.

    Return how many they are, and upper bounds of their decomposed code points: of all, and of the longest row.
    """
    n_rows = 0
    n_points = 0
    most_points = 0
    for row in range(len(offsets) - 1):
        if not is_valid(validity, first_bit + row):
            continue  # Arrow lets anything stand behind a null
        at = int(offsets[row])
        end = int(offsets[row + 1])
        unstable = False
        points = 0
        while at < end:
            points += 1
            if text[at] < 0x80:
                at += 1
                continue
            code, at = decode_at(text, at, end)
            points += _n_decomposed(code, decomposed, decompositions) - 1
            if classes[code] & UNSTABLE:
                unstable = True
        if unstable:
            rows[n_rows] = row
            n_rows += 1
            n_points += points
            most_points = max(most_points, points)
    return n_rows, n_points, most_points


@njit(cache=True, nogil=True)
def _combining_class(code: int, combining: npt.NDArray[np.uint8]) -> int:
    return int(combining[code]) if code < len(combining) else 0


@njit(cache=True, nogil=True)
def _reorder(
    points: npt.NDArray[np.int32],
    n_points: int,
    combining: npt.NDArray[np.uint8],
    scratch: npt.NDArray[np.int32],
) -> None:
    """Sort each run of marks by combining class; equal classes keep their order."""
    start = 0
    while start < n_points:
        if _combining_class(points[start], combining) == 0:
            start += 1
            continue
        end = start + 1
        while end < n_points and _combining_class(points[end], combining) != 0:
            end += 1
        if end - start < _LONG_RUN:
            for at in range(start + 1, end):
                point = points[at]
                number = _combining_class(point, combining)
                to = at
                while to > start and _combining_class(points[to - 1], combining) > number:
                    points[to] = points[to - 1]
                    to -= 1
                points[to] = point
        else:
            first = np.zeros(257, np.int64)
            for at in range(start, end):
                first[_combining_class(points[at], combining) + 1] += 1
            for number in range(256):
                first[number + 1] += first[number]
            for at in range(start, end):
                number = _combining_class(points[at], combining)
                scratch[first[number]] = points[at]
                first[number] += 1
            for at in range(start, end):
                points[at] = scratch[at - start]
        start = end


@njit(cache=True, nogil=True)
def _composition(first: int, second: int, pairs: npt.NDArray[np.int64], composed: npt.NDArray[np.int32]) -> int:
    """Return the code point that two become, or 0."""
    if _L <= first < _L + _N_L and _V <= second < _V + _N_V:
        return _S + ((first - _L) * _N_V + second - _V) * _N_T
    if _S <= first < _S + _N_S and _T < second < _T + _N_T and (first - _S) % _N_T == 0:
        return first + second - _T
    key = (first << 21) | second
    low = 0
    high = len(pairs)
    while low < high:
        middle = (low + high) >> 1
        if pairs[middle] < key:
            low = middle + 1
        else:
            high = middle
    return int(composed[low]) if low < len(pairs) and pairs[low] == key else 0


@njit(cache=True, nogil=True)
def _compose(
    points: npt.NDArray[np.int32],
    n_points: int,
    combining: npt.NDArray[np.uint8],
    classes: npt.NDArray[np.uint8],
    pairs: npt.NDArray[np.int64],
    composed: npt.NDArray[np.int32],
) -> int:
    """Compose in place; return how many code points are left."""
    n_out = 0
    starter = -1
    for at in range(n_points):
        point = int(points[at])
        number = _combining_class(point, combining)
        if starter >= 0 and classes[point] & COMPOSES:
            # Blocked if something that stayed between the two has no lower class than this one.
            last = _combining_class(points[n_out - 1], combining) if n_out - 1 > starter else -1
            if last < number:
                whole = _composition(int(points[starter]), point, pairs, composed)
                if whole:
                    points[starter] = whole
                    continue
        if number == 0:
            starter = n_out
        points[n_out] = point
        n_out += 1
    return n_out


@njit(cache=True, nogil=True)
def _normalize(
    text: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    rows: npt.NDArray[np.int64],
    combining: npt.NDArray[np.uint8],
    decomposed: npt.NDArray[np.int32],
    decompositions: npt.NDArray[np.int32],
    classes: npt.NDArray[np.uint8],
    pairs: npt.NDArray[np.int64],
    composed: npt.NDArray[np.int32],
    points: npt.NDArray[np.int32],
    scratch: npt.NDArray[np.int32],
    to_text: npt.NDArray[np.uint8],
    to_offsets: npt.NDArray[np.int64],
) -> None:
    """Write the NFKC of the rows one after the other, as UTF-8."""
    to = 0
    for position in range(len(rows)):
        at = int(offsets[rows[position]])
        end = int(offsets[rows[position] + 1])
        n_points = 0
        while at < end:
            code, at = decode_at(text, at, end)
            entry = int(decomposed[code]) if code < len(decomposed) else 0
            if entry:
                for part in range(decompositions[entry]):
                    points[n_points] = decompositions[entry + 1 + part]
                    n_points += 1
            elif _S <= code < _S + _N_S:
                syllable = code - _S
                points[n_points] = _L + syllable // (_N_V * _N_T)
                points[n_points + 1] = _V + syllable % (_N_V * _N_T) // _N_T
                n_points += 2
                if syllable % _N_T:
                    points[n_points] = _T + syllable % _N_T
                    n_points += 1
            else:
                points[n_points] = code
                n_points += 1
        _reorder(points, n_points, combining, scratch)
        n_points = _compose(points, n_points, combining, classes, pairs, composed)
        for point in range(n_points):
            to = encode_at(to_text, to, int(points[point]))
        to_offsets[position + 1] = to
