"""What each Unicode character does to a text, from one stated Unicode version.

`python -m features.unicode_tables` writes `features/data/characters.txt` from the `unicodedata` of the Python
that runs it, which must be of UNICODE_VERSION. The file ships with the package, so that a model's features do not
change with the Python that serves it; its digest is part of every feature fingerprint.

Characters that UNICODE_VERSION does not assign are separators, whatever newer libraries know about them.
"""

from __future__ import annotations

import functools
import hashlib
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from schemas.errors import SetupError

#: The version that the oldest supported Python (3.11) brings: every supported Python and every Arrow (utf8proc)
#: normalizes its characters alike, by Unicode's stability policy.
UNICODE_VERSION: Final = "14.0.0"

#: Bits of a character's class. A character with neither WORD nor SKIPPED separates words.
WORD: Final = 1  # letters, numbers, and marks, without which Thai or Hindi words would fall apart
SKIPPED: Final = 2  # invisible: as if absent
UNSTABLE: Final = (
    4  # NFKC may change a text that holds it: it decomposes, composes with what is before, or reorders
)
UNASSIGNED: Final = 8

_N_CODE_POINTS: Final = 0x110000
_SURROGATES: Final = range(0xD800, 0xE000)
_FILE: Final = "characters.txt"

#: Unicode's Default_Ignorable_Code_Point beyond the format characters (Cf): variation selectors, which choose
#: between drawings of one character (a black heart and a red one), the grapheme joiner, fillers that show nothing.
_IGNORABLE: Final = frozenset(
    {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x3164, 0xFFA0}
    | set(range(0xFE00, 0xFE10))
    | set(range(0xE0100, 0xE01F0))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnicodeTables:
    """Lookup tables of the text kernels, read-only.

    Attributes:
        classes: uint8, one a code point: the bits above.
        folds: int32, one a code point up to the last that folds: the code point in lower case.
        ascii: uint8, one an ASCII code point: its lower case if it is a word character, else 0.
    """

    classes: npt.NDArray[np.uint8]
    folds: npt.NDArray[np.int32]
    ascii: npt.NDArray[np.uint8]


@functools.cache
def load_tables() -> UnicodeTables:
    """Read the shipped tables, once in a process: some 6 MB of memory."""
    classes = np.zeros(_N_CODE_POINTS, np.uint8)
    deltas = np.zeros(_N_CODE_POINTS, np.int32)
    for line in _shipped().decode("ascii").splitlines():
        match line.split():
            case ["class", first, last, value]:
                classes[int(first, 16) : int(last, 16) + 1] = int(value)
            case ["fold", first, last, value]:
                deltas[int(first, 16) : int(last, 16) + 1] = int(value)
    n_folds = int(np.flatnonzero(deltas)[-1]) + 1
    folds = np.arange(n_folds, dtype=np.int32) + deltas[:n_folds]
    ascii_words = np.where(classes[:128] & WORD, folds[:128], 0).astype(np.uint8)
    for table in (classes, folds, ascii_words):
        table.flags.writeable = False
    return UnicodeTables(classes=classes, folds=folds, ascii=ascii_words)


@functools.cache
def tables_digest() -> str:
    """Return the SHA-256 of the shipped tables, in hex."""
    return hashlib.sha256(_shipped()).hexdigest()


def _shipped() -> bytes:
    return resources.files("features").joinpath("data", _FILE).read_bytes()


def character_class(character: str, composing: frozenset[str]) -> int:
    """Return the class bits of one character; `composing` are those that may join what stands before them."""
    category = unicodedata.category(character)
    if category in ("Cn", "Cs"):
        return UNASSIGNED
    stable = (
        unicodedata.normalize("NFKC", character) == character
        and unicodedata.combining(character) == 0
        and character not in composing
    )
    bits = 0 if stable else UNSTABLE
    if category == "Cf" or ord(character) in _IGNORABLE:
        return bits | SKIPPED
    return bits | WORD if category[0] in "LNM" else bits


def folded_character(character: str) -> str:
    """Return the one character that stands for this one whatever its case.

    Case folding where it gives one character (all three Greek sigmas give "σ"); where it gives several, the first
    of the lower case ("ẞ" gives "ß", "İ" gives "i").
    """
    folded = character.casefold()
    return folded if len(folded) == 1 else character.lower()[0]


def table_text() -> str:
    """Return the content of the table file, from this Python's `unicodedata`: runs of code points in hex."""
    characters = [chr(code) for code in range(_N_CODE_POINTS)]
    composing = _composing(characters)
    lines = [
        f"# Characters of Unicode {UNICODE_VERSION}, by `python -m features.unicode_tables`. Not to be edited.",
        "# class FIRST LAST BITS: 1 word, 2 skipped, 4 unstable under NFKC, 8 unassigned; else 0.",
        "# fold FIRST LAST DELTA: the lower case is DELTA further; else the character itself.",
        f"unicode {UNICODE_VERSION}",
    ]
    lines += _runs("class", (character_class(character, composing) for character in characters))
    lines += _runs("fold", (_fold_delta(character) for character in characters))
    return "\n".join(lines) + "\n"


def _fold_delta(character: str) -> int:
    if ord(character) in _SURROGATES or unicodedata.category(character) == "Cn":
        return 0
    return ord(folded_character(character)) - ord(character)


def _composing(characters: Iterable[str]) -> frozenset[str]:
    """Return the characters that may compose with a previous one: later parts of canonical decompositions."""
    parts: set[str] = set()
    for character in characters:
        if ord(character) in _SURROGATES:
            continue
        parts.update(unicodedata.normalize("NFD", character)[1:])
        decomposition = unicodedata.decomposition(character)
        if decomposition and not decomposition.startswith("<"):
            parts.update(chr(int(part, 16)) for part in decomposition.split()[1:])
    return frozenset(parts)


def _runs(name: str, values: Iterable[int]) -> Iterator[str]:
    """Yield a line for each longest run of equal values that are not 0."""
    first, current, last = 0, 0, -1
    for last, value in enumerate(values):
        if value != current:
            if current:
                yield f"{name} {first:04X} {last - 1:04X} {current}"
            first, current = last, value
    if current:
        yield f"{name} {first:04X} {last:04X} {current}"


def main() -> None:
    """Write the table file into the source tree."""
    if unicodedata.unidata_version != UNICODE_VERSION:
        raise SetupError(
            f"This Python has Unicode {unicodedata.unidata_version}; the tables are of {UNICODE_VERSION}: "
            "use Python 3.11, or raise UNICODE_VERSION and ALGORITHM_VERSION on purpose."
        )
    path = Path(__file__).parent / "data" / _FILE
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(table_text().encode("ascii"))
    sys.stdout.write(f"{path}: {path.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
