"""Prints how good a model is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Console
from rich.table import Table

from schemas.printable import printable
from sortline.topic_rows import path_text

if TYPE_CHECKING:
    from training.evaluation import Evaluation

#: Rows of the table of classes: more scroll the figures away.
_CLASSES_PRINTED: Final = 300


def facts(rows: Sequence[tuple[str, str]], console: Console) -> None:
    """Print names and values, one pair a line."""
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        console.print(f"{name.ljust(width)}  {value}", soft_wrap=True)


def score_facts(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Return the figures of an evaluation as names and values; accuracy never without coverage beside it."""
    rows = [
        ("products", f"{evaluation.n:,}"),
        ("accuracy", f"{evaluation.accuracy:.4f}  (most probable leaf)"),
        ("macro-F1", f"{evaluation.macro_f1:.4f}"),
        ("coverage", f"{evaluation.coverage:.4f}  (published without a person)"),
        ("precision", f"{evaluation.precision:.4f}  (of what is published)"),
        ("ECE", f"{evaluation.ece:.4f}  (calibration error of the confidence)"),
    ]
    if evaluation.n_unknown:
        rows.append(("unknown", f"{evaluation.n_unknown:,}  (the model has no class for their category)"))
    return rows


def class_table(evaluation: Evaluation, console: Console) -> None:
    """Print precision, recall and F1 of each class that has products, of the largest where they are many."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("category", overflow="ellipsis", no_wrap=True)
    for name in ("products", "precision", "recall", "F1"):
        table.add_column(name, justify="right", no_wrap=True)
    tested = [one for one in sorted(evaluation.classes, key=lambda one: -one.support) if one.support]
    for score in tested[:_CLASSES_PRINTED]:
        table.add_row(
            printable(path_text(score.path)),
            f"{score.support:,}",
            f"{score.precision:.3f}",
            f"{score.recall:.3f}",
            f"{score.f1:.3f}",
        )
    console.print(table)
    if len(tested) > _CLASSES_PRINTED:
        console.print(f"and {len(tested) - _CLASSES_PRINTED:,} categories with no more products each\n")
