"""What an audit of labels found, as a table for a file and as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pyarrow as pa
from rich.console import Console

from models.taxonomy import Path
from sortline.console import Column, LineTable
from sortline.scores import facts
from sortline.topic_rows import path_text
from training.label_audit import LabelAudit, label_path
from training.title_conflicts import TitleConflict

_FIELDS: Final[list[tuple[str, pa.DataType]]] = [
    ("product_id", pa.string()),
    ("title", pa.string()),
    ("label", pa.string()),
    ("suggested_label", pa.string()),
    ("confidence", pa.float64()),
    ("reason", pa.string()),
    ("same_title", pa.string()),
]
REPORT: Final = pa.schema(_FIELDS)
"""One row a product. `reason` is `model`, `title` (most products of the same title are labelled otherwise, or no
label has most) or `model and title`; `confidence` is the model's in the suggested label, null without the model;
`same_title` counts the labels of that title. Paths are written as people do: "Core > memory"."""


def report_of(audit: LabelAudit) -> pa.Table:
    """Return all suspects: those of the model, likeliest first, then those of their title alone."""
    conflict_of = {row: one for one in audit.conflicts for row in one.rows if one.majority != _label(audit, row)}
    rows: list[dict[str, object]] = []
    ids, titles = (audit.products[name].to_pylist() for name in ("product_id", "title"))

    def add(row: int, suggested: Path | None, confidence: float | None, reason: str) -> None:
        conflict = conflict_of.get(row)
        rows.append(
            {
                "product_id": ids[row],
                "title": titles[row],
                "label": path_text(_label(audit, row)),
                "suggested_label": None if suggested is None else path_text(suggested),
                "confidence": confidence,
                "reason": reason,
                "same_title": None if conflict is None else counts_text(conflict.counts),
            }
        )

    by_model = audit.suspects.rows.tolist()
    for rank, row in enumerate(by_model):
        reason = "model and title" if row in conflict_of else "model"
        add(row, label_path(audit, rank), float(audit.suspects.confidence[rank]), reason)
    seen = set(by_model)
    for row, conflict in conflict_of.items():
        if row not in seen:
            add(row, conflict.majority, None, "title")
    return pa.Table.from_pylist(rows, REPORT)


def counts_text(counts: Mapping[Path, int]) -> str:
    """Return labels and how often each is given.

    >>> counts_text({("Case", "fan"): 3, ("Core",): 1})
    'Case > fan: 3, Core: 1'
    """
    return ", ".join(f"{path_text(path)}: {n:,}" for path, n in counts.items())


def show_audit(audit: LabelAudit, limit: int, console: Console) -> None:
    """Print what was judged, and the first `limit` suspects and titles."""
    n_products, n_suspects = audit.products.num_rows, len(audit.suspects.rows)
    facts(
        [
            ("products", f"{n_products:,}, {audit.n_judged:,} of them in categories large enough to judge"),
            ("agreement", f"{audit.agreement:.4f}  (the label is what a model that never saw the product says)"),
            ("suspects", f"{n_suspects:,}  (the model contradicts the label)"),
            ("titles", f"{len(audit.conflicts):,} with different labels, {_n_rows(audit.conflicts):,} products"),
        ],
        console,
    )
    if n_suspects:
        console.print()
        table = LineTable(_SUSPECT_COLUMNS, console)
        titles = audit.products["title"]
        for rank, row in enumerate(audit.suspects.rows[:limit].tolist()):
            table.row(
                audit.products["product_id"][row].as_py(),
                titles[row].as_py(),
                path_text(_label(audit, row)),
                path_text(label_path(audit, rank)),
                f"{audit.suspects.confidence[rank]:.3f}",
            )
        _say_rest(n_suspects - limit, console)
    if audit.conflicts:
        console.print()
        table = LineTable(_TITLE_COLUMNS, console)
        for conflict in audit.conflicts[:limit]:
            majority = "none" if conflict.majority is None else path_text(conflict.majority)
            table.row(conflict.title, majority, counts_text(conflict.counts))
        _say_rest(len(audit.conflicts) - limit, console)


#: 98 cells wide at most.
_SUSPECT_COLUMNS: Final = (
    Column(name="product", width=16),
    Column(name="title", width=30),
    Column(name="label", width=18),
    Column(name="looks like", width=18),
    Column(name="sure", width=5, justify="right"),
)
_TITLE_COLUMNS: Final = (
    Column(name="title", width=32),
    Column(name="most are", width=18),
    Column(name="labels", width=44),
)


def _label(audit: LabelAudit, row: int) -> Path:
    return tuple(audit.products["category_path"][row].as_py())


def _n_rows(conflicts: tuple[TitleConflict, ...]) -> int:
    return sum(len(one.rows) for one in conflicts)


def _say_rest(n: int, console: Console) -> None:
    if n > 0:
        console.print(f"and {n:,} more: --limit shows more, --to FILE writes all", soft_wrap=True)
