from __future__ import annotations

import io

from rich.cells import cell_len
from rich.console import Console

from sortline.console import Column, LineTable
from sortline.progress import StepProgress


def _piped() -> tuple[Console, io.StringIO]:
    written = io.StringIO()
    return Console(file=written, width=100, markup=False, highlight=False), written


def test_the_header_comes_once_before_the_first_row() -> None:
    console, written = _piped()
    table = LineTable([Column(name="product", width=10), Column(name="price", width=8, justify="right")], console)
    table.row("p-1", "1.00")
    table.row("p-2", "20.00")
    assert written.getvalue().splitlines() == [
        "product        price",
        "p-1             1.00",
        "p-2            20.00",
    ]


def test_wide_characters_keep_the_columns_aligned() -> None:
    console, written = _piped()
    table = LineTable([Column(name="title", width=8), Column(name="next", width=4)], console)
    table.row("電子レンジ", "x")
    table.row("a much longer title", "x")
    _, first, second = written.getvalue().splitlines()
    assert cell_len(first) == cell_len(second) == 11
    assert second == "a much …  x"


def test_markup_in_a_title_is_text() -> None:
    console, written = _piped()
    LineTable([Column(name="title", width=20)], console).row("[bold]cheap[/bold]")
    assert "[bold]cheap[/bold]" in written.getvalue()


def test_progress_in_a_pipe_is_a_line_a_step_without_control_codes() -> None:
    console, written = _piped()
    times = iter([0.0, 2.5, 2.5, 4.0])
    with StepProgress(console, clock=lambda: next(times)) as progress:
        progress.step("read", total=10)
        progress.advance(10)
        progress.step("fit")
    assert written.getvalue() == "  read: 2.5 s\n  fit: 1.5 s\n"


def test_a_step_that_failed_is_not_told_as_done() -> None:
    console, written = _piped()
    progress = StepProgress(console)
    progress.step("fit")
    progress.__exit__(RuntimeError, RuntimeError(), None)
    assert written.getvalue() == ""


def test_progress_on_a_terminal_is_a_bar() -> None:
    written = io.StringIO()
    console = Console(file=written, width=100, force_terminal=True, markup=False)
    with StepProgress(console) as progress:
        progress.step("read", total=4)
        progress.advance(4)
    assert "4/4" in written.getvalue()
