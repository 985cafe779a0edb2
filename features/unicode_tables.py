"""`python -m features.unicode_tables` writes the table file that `features.characters` reads.

It takes everything from the `unicodedata` of the Python that runs it, which must be of UNICODE_VERSION.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from features.characters import COMPOSES, N_CODE_POINTS, SKIPPED, TABLE_FILE, UNASSIGNED, UNSTABLE, WORD
from schemas.errors import SetupError

#: The version that the oldest supported Python (3.11) brings, so that the tests' oracle, which uses the running
#: Python's `unicodedata`, knows every character of the tables wherever the tests run.
UNICODE_VERSION: Final = "14.0.0"

_HANGUL_SYLLABLES: Final = range(0xAC00, 0xD7A4)  # decompose and compose by arithmetic

#: Unicode's Default_Ignorable_Code_Point beyond the format characters (Cf): variation selectors, which choose
#: between drawings of one character (a black heart and a red one), the grapheme joiner, fillers that show nothing.
_IGNORABLE: Final = frozenset(
    {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x3164, 0xFFA0}
    | set(range(0xFE00, 0xFE10))
    | set(range(0xE0100, 0xE01F0))
)


def table_text() -> str:
    """Return the content of the table file. Code points are in hex, and what is not listed is 0 or absent."""
    characters = [chr(code) for code in range(N_CODE_POINTS)]
    composites = [character for character in characters if _is_composite(character)]
    composing = {part for character in composites for part in unicodedata.normalize("NFD", character)[1:]}
    composing |= {_parts(character)[1] for character in composites if not _is_hangul(character)}
    lines = [
        f"# Characters of Unicode {UNICODE_VERSION}, by `python -m features.unicode_tables`. Not to be edited.",
        "# class FIRST LAST BITS: 1 word, 2 skipped, 4 unstable under NFKC, 8 unassigned, 16 may compose.",
        "# fold FIRST LAST DELTA: the lower case is DELTA further.",
        "# combining FIRST LAST CLASS: the canonical combining class.",
        "# decompose CODE CODES: the full compatibility decomposition; Hangul syllables are left to arithmetic.",
        "# compose FIRST SECOND WHOLE: the canonical composition; likewise.",
    ]
    lines += _runs("class", (_class_bits(character, composes=character in composing) for character in characters))
    lines += _runs("fold", (_fold_delta(character) for character in characters))
    lines += _runs("combining", map(unicodedata.combining, characters))
    for character in characters:
        decomposition = unicodedata.normalize("NFKD", character)
        if decomposition != character and not _is_hangul(character):
            lines.append(f"decompose {_hex(character)} {_hex(decomposition)}")
    lines += [
        f"compose {_hex(_parts(character))} {_hex(character)}"
        for character in composites
        if not _is_hangul(character)
    ]
    return "\n".join(lines) + "\n"


def folded_character(character: str) -> str:
    """Return the one character that stands for this one whatever its case.

    Case folding where it gives one character (all three Greek sigmas give "σ"); where it gives several, the first
    of the lower case ("ẞ" gives "ß", "İ" gives "i").
    """
    folded = character.casefold()
    return folded if len(folded) == 1 else character.lower()[0]


def _class_bits(character: str, *, composes: bool) -> int:
    category = unicodedata.category(character)
    if category in ("Cn", "Cs"):
        return UNASSIGNED
    bits = COMPOSES if composes else 0
    changes = unicodedata.normalize("NFKC", character) != character
    if changes or composes or unicodedata.combining(character):
        bits |= UNSTABLE
    if category == "Cf" or ord(character) in _IGNORABLE:
        return bits | SKIPPED
    return bits | WORD if category[0] in "LNM" else bits


def _fold_delta(character: str) -> int:
    return ord(folded_character(character)) - ord(character)


def _is_composite(character: str) -> bool:
    """Tell whether NFC makes this character out of two."""
    return unicodedata.normalize("NFC", character) == character != unicodedata.normalize("NFD", character)


def _is_hangul(character: str) -> bool:
    return ord(character) in _HANGUL_SYLLABLES


def _parts(character: str) -> str:
    """Return the two characters of a composite."""
    return "".join(chr(int(part, 16)) for part in unicodedata.decomposition(character).split())


def _hex(characters: Sequence[str]) -> str:
    return " ".join(f"{ord(character):04X}" for character in characters)


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
    path = Path(__file__).parent / "data" / TABLE_FILE
    path.write_bytes(table_text().encode("ascii"))
    sys.stdout.write(f"{path}: {path.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
