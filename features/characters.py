"""What each Unicode character does to a text: tables of one stated Unicode version, shipped with the package.

`features.unicode_tables` writes the file that is read here. Since the file ships, a model's features do not change
with the Python or the libraries that serve it; its digest is part of every feature fingerprint.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import Final

import numpy as np
import numpy.typing as npt

#: Bits of a character's class. A character with neither WORD nor SKIPPED separates words.
WORD: Final = 1  # letters, numbers, and marks, without which Thai or Hindi words would fall apart
SKIPPED: Final = 2  # invisible: as if absent
UNSTABLE: Final = 4  # NFKC may change a text that holds it: it decomposes, composes or reorders
UNASSIGNED: Final = 8  # unknown to this Unicode version: separates words whatever newer versions say
COMPOSES: Final = 16  # may become one with a character before it

N_CODE_POINTS: Final = 0x110000
TABLE_FILE: Final = "characters.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class CharacterTables:
    """Lookup tables of the text kernels, read-only; a table that is shorter than Unicode ends with its last entry.

    Attributes:
        classes: uint8 by code point: the bits above.
        folds: int32 by code point: the code point in lower case.
        ascii: uint8 by ASCII code point: its lower case if it is a word character, else 0.
        combining: uint8 by code point: its canonical combining class.
        decomposed: int32 by code point: where its full compatibility decomposition is in `decompositions`, or 0.
        decompositions: int32, for each its length and then its code points.
        pairs: int64, ascending: `first << 21 | second` of each two code points that compose.
        composed: int32: what each pair becomes.
    """

    classes: npt.NDArray[np.uint8]
    folds: npt.NDArray[np.int32]
    ascii: npt.NDArray[np.uint8]
    combining: npt.NDArray[np.uint8]
    decomposed: npt.NDArray[np.int32]
    decompositions: npt.NDArray[np.int32]
    pairs: npt.NDArray[np.int64]
    composed: npt.NDArray[np.int32]


@functools.cache
def character_tables() -> CharacterTables:
    """Read the shipped tables, once in a process: some 3 MB of memory, some 10 ms."""
    classes = np.zeros(N_CODE_POINTS, np.uint8)
    deltas = np.zeros(N_CODE_POINTS, np.int32)
    combining = np.zeros(N_CODE_POINTS, np.uint8)
    decomposed = np.zeros(N_CODE_POINTS, np.int32)
    decompositions = [0]
    composites: dict[int, int] = {}
    for line in _shipped().decode("ascii").splitlines():
        match line.split():
            case ["class", first, last, bits]:
                classes[int(first, 16) : int(last, 16) + 1] = int(bits)
            case ["fold", first, last, delta]:
                deltas[int(first, 16) : int(last, 16) + 1] = int(delta)
            case ["combining", first, last, number]:
                combining[int(first, 16) : int(last, 16) + 1] = int(number)
            case ["decompose", code, *parts]:
                decomposed[int(code, 16)] = len(decompositions)
                decompositions += [len(parts), *(int(part, 16) for part in parts)]
            case ["compose", first, second, whole]:
                composites[int(first, 16) << 21 | int(second, 16)] = int(whole, 16)
    pairs = sorted(composites)
    folds = np.arange(_size(deltas), dtype=np.int32) + deltas[: _size(deltas)]
    tables = CharacterTables(
        classes=classes,
        folds=folds,
        ascii=np.where(classes[:128] & WORD, folds[:128], 0).astype(np.uint8),
        combining=combining[: _size(combining)].copy(),
        decomposed=decomposed[: _size(decomposed)].copy(),
        decompositions=np.array(decompositions, np.int32),
        pairs=np.array(pairs, np.int64),
        composed=np.array([composites[pair] for pair in pairs], np.int32),
    )
    for name in tables.__slots__:
        getattr(tables, name).flags.writeable = False
    return tables


@functools.cache
def tables_digest() -> str:
    """Return the SHA-256 of the shipped tables, in hex."""
    return hashlib.sha256(_shipped()).hexdigest()


def _shipped() -> bytes:
    return resources.files("features").joinpath("data", TABLE_FILE).read_bytes()


def _size(table: npt.NDArray[np.int32] | npt.NDArray[np.uint8]) -> int:
    return int(np.flatnonzero(table)[-1]) + 1
