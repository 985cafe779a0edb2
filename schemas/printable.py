"""Text of other people on a screen: one line, and nothing that moves or reorders what stands around it."""

from __future__ import annotations

from typing import Final

#: What would move the cursor, colour the screen or reorder the rest of a line: a title must not.
_UNPRINTABLE: Final = {
    **dict.fromkeys(
        [*range(32), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFFFE, 0xFFFF],
        "\N{REPLACEMENT CHARACTER}",
    ),
    **dict.fromkeys([*map(ord, "\t\n\r"), 0x2028, 0x2029], " "),
}


def printable(text: str) -> str:
    r"""Return the text on one line, without what would move or recolour a terminal, or break XML.

    >>> printable("two\nlines \x1b[31m")
    'two lines �[31m'
    """
    return text.translate(_UNPRINTABLE)
