"""The terminal: results go to stdout, progress and warnings to stderr, control codes only to a real terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from schemas.printable import printable

#: Width of what is written to a pipe or a file, in columns.
PIPED_WIDTH: Final = 100


def output() -> Console:
    """Return the console of results: stdout, without markup."""
    return _console(stderr=False)


def messages() -> Console:
    """Return the console of progress and warnings: stderr, without markup."""
    return _console(stderr=True)


def say(sentence: str) -> None:
    """Print a line of result to stdout; a long one is not broken."""
    output().print(sentence, soft_wrap=True)


def warn(sentence: str) -> None:
    """Print a warning to stderr."""
    messages().print(f"warning: {sentence}", soft_wrap=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table that is printed line by line, as its rows come. Width in terminal cells."""

    name: str
    width: int
    justify: Literal["left", "right"] = "left"


class LineTable:
    """A table whose rows are not known yet: fixed columns, the header before the first row.

    Text wider than its column is cut and ends in `…`; wide characters count as two.
    """

    def __init__(self, columns: Sequence[Column], console: Console) -> None:
        self._columns = columns
        self._console = console
        self._has_header = False

    def row(self, *cells: str, style: str = "") -> None:
        """Print one row at once; `cells` in the order of the columns."""
        if not self._has_header:
            self._has_header = True
            self._print([column.name for column in self._columns], style="bold")
        self._print([printable(cell) for cell in cells], style=style)

    def _print(self, cells: Iterable[str], *, style: str) -> None:
        fitted = [_fit(cell, column) for cell, column in zip(cells, self._columns, strict=True)]
        self._console.print(Text("  ".join(fitted).rstrip(), style=style), soft_wrap=True)


def _fit(cell: str, column: Column) -> str:
    if cell_len(cell) > column.width:
        cell = set_cell_size(cell, column.width - 1) + "…"
    padding = " " * (column.width - cell_len(cell))
    return padding + cell if column.justify == "right" else cell + padding


def _console(*, stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr,
        markup=False,
        highlight=False,
        emoji=False,
        width=None if stream.isatty() else PIPED_WIDTH,
    )
