"""The loop that writes Avro data, compiled. What the numbers mean, `schemas.encoding_plan` says.

Columns are read at their addresses, since a kernel takes arrays of one type and shape each, and the columns of a
schema are any number of any type: the plan has checked every type before.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numba.np.numpy_support import carray

from schemas.byte_copy import copy_bytes

TEXT: Final = 0
INT: Final = 1
LONG: Final = 2
FLOAT: Final = 3
DOUBLE: Final = 4
BOOLEAN: Final = 5
ENUM: Final = 6
LIST: Final = 7
RECORD: Final = 8

_MOST_BYTES: Final = 2**31 - 1  # as the offsets of a column can say
_MOST_OF_A_NUMBER: Final = 11  # a varint of 64 bits, and the branch of a union


def _to_pointer(typing: Any, address: Any) -> Any:
    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.intp), generate


_pointer: Final[Any] = intrinsic(_to_pointer)


@njit(cache=True, nogil=True)
def _bit(address: int, at: int) -> bool:
    return bool((carray(_pointer(address), at // 8 + 1, np.uint8)[at >> 3] >> (at & 7)) & 1)


@njit(cache=True, nogil=True)
def _bounds(address: int, at: int) -> tuple[int, int]:
    """Return where a value starts and ends; one of an array that has no offsets, as an empty one may, is empty."""
    if address == 0:
        return 0, 0
    offsets = carray(_pointer(address), at + 2, np.int32)
    return int(offsets[at]), int(offsets[at + 1])


@njit(cache=True, nogil=True)
def _put_number(out: npt.NDArray[np.uint8], to: int, number: int) -> int:
    """Write a number in zigzag; return where the next thing goes."""
    left = np.uint64(number << 1) ^ np.uint64(number >> 63)
    while left > np.uint64(0x7F):
        out[to] = np.uint8((left & np.uint64(0x7F)) | np.uint64(0x80))
        left >>= np.uint64(7)
        to += 1
    out[to] = np.uint8(left)
    return to + 1


@njit(cache=True, nogil=True)
def _put_text(out: npt.NDArray[np.uint8], to: int, offsets: int, text: int, at: int) -> int:
    """Write the text at a place of a column; return where the next thing goes."""
    first, last = _bounds(offsets, at)
    to = _put_number(out, to, last - first)
    copy_bytes(out, to, text, first, last - first)  # for texts as short as ours a loop is half as fast
    return to + last - first


@njit(cache=True, nogil=True)
def _symbol(
    text: npt.NDArray[np.uint8],
    start: int,
    end: int,
    symbols: npt.NDArray[np.uint8],
    symbol_bounds: npt.NDArray[np.int64],
    first: int,
    stop: int,
) -> int:
    """Return which symbol a text is, -1 if none."""
    for symbol in range(first, stop):
        at = symbol_bounds[symbol]
        if symbol_bounds[symbol + 1] - at != end - start:
            continue
        same = True
        for i in range(end - start):
            same &= symbols[at + i] == text[start + i]
        if same:
            return int(symbol - first)
    return -1


@njit(cache=True, nogil=True)
def _room(steps: npt.NDArray[np.int64], places: npt.NDArray[np.int64], n_rows: int) -> int:
    """Return how many bytes are surely enough for all rows, from the bounds of whole columns alone."""
    n_steps = len(steps)
    first = np.zeros(n_steps + 1, np.int64)  # of the values inside of a step's list
    stop = np.zeros(n_steps + 1, np.int64)
    list_end = np.zeros(n_steps + 1, np.int64)
    depth = 0
    stop[0], list_end[0] = n_rows, n_steps
    room = 0
    for step in range(n_steps):
        while step == list_end[depth]:
            depth -= 1
        kind = steps[step, 0]
        n_values = stop[depth] - first[depth]
        is_one = depth == 0 and places[step, 2] == 0
        low = places[step, 1] + (0 if is_one else first[depth])
        high = low + (min(1, n_values) if is_one else n_values)
        room += _MOST_OF_A_NUMBER * n_values
        if kind in (TEXT, ENUM, LIST) and high > low:
            start, end = _bounds(places[step, 3], low)[0], _bounds(places[step, 3], high - 1)[1]
        else:
            start, end = 0, 0
        if kind == TEXT:
            room += (end - start) * (n_values if is_one else 1)
        elif kind == LIST:
            room += n_values  # the ends of the lists
            depth += 1
            first[depth], stop[depth], list_end[depth] = start, end, steps[step, 2]
    return room


@njit(cache=True, nogil=True)
def encode_rows(
    steps: npt.NDArray[np.int64],
    symbols: npt.NDArray[np.uint8],
    symbol_bounds: npt.NDArray[np.int64],
    places: npt.NDArray[np.int64],
    n_rows: int,
    bounds: npt.NDArray[np.int32],
) -> tuple[int, npt.NDArray[np.uint8]]:
    """Write all rows one behind the other, and where each starts into `bounds`, with the end of the last.

    Return a number, and the array that the bytes are in. The number is -1 if all went well; the step that could
    not be written, for a null where the schema has none or a symbol that it lacks; n_steps if the bytes are too
    many.
    """
    room = _room(steps, places, n_rows)
    if room > _MOST_BYTES:
        return len(steps), np.empty(0, np.uint8)
    out = np.empty(room, np.uint8)
    n_steps = len(steps)
    # What is being written, from the row itself (0) to the innermost list.
    at = np.zeros(n_steps + 1, np.int64)
    stop = np.zeros(n_steps + 1, np.int64)
    begin = np.zeros(n_steps + 1, np.int64)
    end = np.zeros(n_steps + 1, np.int64)
    end[0] = n_steps
    to = 0
    for row in range(n_rows):
        depth = 0
        at[0], stop[0] = row, row + 1
        step = 0
        while True:
            if step == end[depth]:
                at[depth] += 1
                if at[depth] < stop[depth]:
                    step = begin[depth]
                    continue
                if depth == 0:
                    break
                out[to] = 0
                to += 1
                depth -= 1
                step = end[depth + 1]
                continue
            kind = steps[step, 0]
            null_branch = steps[step, 1]
            value = places[step, 1] + at[depth] * places[step, 2]
            is_null = places[step, 0] != 0 and not _bit(places[step, 0], value)
            if null_branch >= 0:
                out[to] = 2 * (null_branch if is_null else 1 - null_branch)
                to += 1
            elif is_null:
                return step, out
            if is_null:
                step = steps[step, 2]
                continue
            address = places[step, 3]
            if kind == TEXT:
                to = _put_text(out, to, address, places[step, 4], value)
            elif kind == LONG:
                to = _put_number(out, to, int(carray(_pointer(address), value + 1, np.int64)[value]))
            elif kind == INT:
                to = _put_number(out, to, int(carray(_pointer(address), value + 1, np.int32)[value]))
            elif kind == DOUBLE:
                bits = carray(_pointer(address), value + 1, np.uint64)[value]
                for i in range(8):
                    out[to + i] = np.uint8((bits >> np.uint64(8 * i)) & np.uint64(0xFF))
                to += 8
            elif kind == FLOAT:
                half = carray(_pointer(address), value + 1, np.uint32)[value]
                for i in range(4):
                    out[to + i] = np.uint8((half >> np.uint32(8 * i)) & np.uint32(0xFF))
                to += 4
            elif kind == BOOLEAN:
                out[to] = 1 if _bit(address, value) else 0
                to += 1
            elif kind == ENUM:
                first, last = _bounds(address, value)
                text = carray(_pointer(places[step, 4]), last, np.uint8)
                begun, done = int(steps[step, 3]), int(steps[step, 4])
                symbol = _symbol(text, first, last, symbols, symbol_bounds, begun, done)
                if symbol < 0:
                    return step, out
                to = _put_number(out, to, symbol)
            elif kind == LIST:
                first, last = _bounds(address, value)
                if last == first:
                    out[to] = 0
                    to += 1
                    step = steps[step, 2]
                    continue
                to = _put_number(out, to, last - first)
                inner = step + 1
                if steps[inner, 0] == TEXT and steps[inner, 1] < 0 and places[inner, 0] == 0:
                    # Lists of texts are most of what we write: without the detour they take half of the time.
                    for item in range(places[inner, 1] + first, places[inner, 1] + last):
                        to = _put_text(out, to, places[inner, 3], places[inner, 4], item)
                    out[to] = 0
                    to += 1
                    step = steps[step, 2]
                    continue
                depth += 1
                at[depth], stop[depth], begin[depth], end[depth] = first, last, step + 1, steps[step, 2]
            step += 1
        bounds[row + 1] = to
    return -1, out[:to]
