from __future__ import annotations

import doctest

import pytest

from schemas import printable as module
from schemas.printable import printable


@pytest.mark.parametrize(
    "hostile",
    ["\x1b[2J", "\x9b31m", "line\nline", "\u202egnp.exe", "\u2066isolate", "bell\a", "\x00", "\u2028separator"],
)
def test_nothing_that_moves_or_recolours_the_terminal_is_printed(hostile: str) -> None:
    shown = printable(hostile)
    assert not any(
        ord(character) < 32 or 0x7F <= ord(character) < 0xA0 or character in "\u2028\u202e\u2066"
        for character in shown
    )


def test_a_title_of_any_script_is_printed_as_it_is() -> None:
    assert printable("電子レンジ – مايكروويف – ไมโครเวฟ 🎧") == "電子レンジ – مايكروويف – ไมโครเวฟ 🎧"


def test_the_example_in_the_docstring_is_true() -> None:
    result = doctest.testmod(module)

    assert result.attempted > 0
    assert result.failed == 0
