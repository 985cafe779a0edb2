"""UTF-8 inside numba kernels.

numba's cache does not notice that a kernel in another file calls something that changed: after a change here,
delete `features/__pycache__`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit


@njit(cache=True, nogil=True)
def is_valid(validity: npt.NDArray[np.uint8], bit: int) -> bool:
    """Read one bit of an Arrow bitmap; an empty bitmap has no nulls."""
    return len(validity) == 0 or bool((validity[bit >> 3] >> (bit & 7)) & 1)


@njit(cache=True, nogil=True)
def decode_at(text: npt.NDArray[np.uint8], at: int, end: int) -> tuple[int, int]:
    """Decode the code point at `at`; return it and where the next starts, never after `end`.

    Text was checked at the edge; where it is broken all the same, U+FFFD is returned and nothing outside is read.
    """
    lead = int(text[at])
    if lead < 0x80:
        return lead, at + 1
    if lead < 0xE0:
        if lead >= 0xC0 and at + 2 <= end:
            return ((lead & 0x1F) << 6) | int(text[at + 1] & 0x3F), at + 2
    elif lead < 0xF0:
        if at + 3 <= end:
            return ((lead & 0x0F) << 12) | (int(text[at + 1] & 0x3F) << 6) | int(text[at + 2] & 0x3F), at + 3
    elif lead < 0xF5 and at + 4 <= end:
        code = (
            ((lead & 0x07) << 18)
            | (int(text[at + 1] & 0x3F) << 12)
            | (int(text[at + 2] & 0x3F) << 6)
            | int(text[at + 3] & 0x3F)
        )
        if code < 0x110000:
            return code, at + 4
    return 0xFFFD, at + 1


@njit(cache=True, nogil=True)
def encode_at(text: npt.NDArray[np.uint8], to: int, code: int) -> int:
    """Write one code point at `to`; return where the next goes."""
    if code < 0x80:
        text[to] = code
        return to + 1
    if code < 0x800:
        text[to] = 0xC0 | (code >> 6)
        text[to + 1] = 0x80 | (code & 0x3F)
        return to + 2
    if code < 0x10000:
        text[to] = 0xE0 | (code >> 12)
        text[to + 1] = 0x80 | ((code >> 6) & 0x3F)
        text[to + 2] = 0x80 | (code & 0x3F)
        return to + 3
    text[to] = 0xF0 | (code >> 18)
    text[to + 1] = 0x80 | ((code >> 12) & 0x3F)
    text[to + 2] = 0x80 | ((code >> 6) & 0x3F)
    text[to + 3] = 0x80 | (code & 0x3F)
    return to + 4


@njit(cache=True, nogil=True)
def next_at(text: npt.NDArray[np.uint8], at: int) -> int:
    """Return where the code point after the one at `at` starts, in text that `encode_at` wrote."""
    lead = text[at]
    if lead < 0x80:
        return at + 1
    if lead < 0xE0:
        return at + 2
    return at + 3 if lead < 0xF0 else at + 4
