"""Shows what a retraining found, decided and made."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.console import Console

from schemas.printable import printable
from sortline.console import Column, LineTable, warn
from sortline.scores import facts, score_facts
from training.retrain import offsets_of

if TYPE_CHECKING:
    from training.retraining import Retraining

_COLUMNS = (
    Column(name="partition", width=9, justify="right"),
    Column(name="champion's last offset", width=22, justify="right"),
    Column(name="last offset now", width=15, justify="right"),
)


def show(done: Retraining, console: Console) -> None:
    """Print the decision, the offsets, the labels, and what came of it."""
    facts(_decision(done), console)
    table = LineTable(_COLUMNS, console)
    for partition, old, new in offsets_of(done.look.champion, done.look.bounds):
        table.row(str(partition), _offset(old), _offset(new))
    if done.trained is not None:
        rows = [("test " + name, value) for name, value in score_facts(done.trained.evaluation)]
        rows.append(("bundle", f"{done.trained.path}"))
        if done.trained.report is not None:
            rows.append(("report", f"{done.trained.report}"))
        facts(rows, console)
    if done.promotion is not None and done.promotion.outcome == "refused":
        failed = "; ".join(f"{one.name}: {one.found}" for one in done.promotion.checks if not one.passed)
        warn(printable(f"the champion stays what it was, the gate refused the new version: {failed}"))


def to_json(done: Retraining) -> str:
    """Return all of it as one line of JSON; `action` is "nothing to do", "promote" or "retrain"."""
    changes = None if done.count is None else done.count.changes
    champion = done.look.champion
    return json.dumps(
        {
            "action": done.decision.action.value,
            "why": done.decision.why,
            "champion": None if champion is None else champion.version,
            "offsets": {
                str(partition): {"champion": old, "now": new}
                for partition, old, new in offsets_of(done.look.champion, done.look.bounds)
            },
            "labels": None
            if changes is None
            else {"new": changes.new, "changed": changes.changed, "removed": changes.removed},
            "products": None if done.snapshot is None else done.snapshot.lineage.rows,
            "bundle": None if done.trained is None else str(done.trained.path),
            "content_version": None if done.trained is None else done.trained.manifest.version,
            "version": None if done.registered is None else done.registered.version,
            "promotion": None if done.promotion is None else done.promotion.outcome,
        }
    )


def _decision(done: Retraining) -> list[tuple[str, str]]:
    champion = done.look.champion
    rows = [
        ("decision", f"{done.decision.action}: {done.decision.why}"),
        ("champion", "none" if champion is None else f"version {champion.version}"),
    ]
    if done.snapshot is not None:
        rows.append(("products", f"{done.snapshot.lineage.rows:,}"))
        rows += [("left out", printable(f"{n:,}: {reason}")) for reason, n in done.snapshot.rejected.items()]
    if done.count is not None:
        changes = done.count.changes
        told = (
            "unknown"
            if changes is None
            else f"{changes.new:,} new, {changes.changed:,} changed, {changes.removed:,} removed"
        )
        rows.append(("labels", told))
    if done.registered is not None:
        before = "" if done.registered.is_new else ", registered before"
        rows.append(("registered", f"models:/{done.registered.name}/{done.registered.version}{before}"))
    if done.promotion is not None:
        rows.append(("promotion", done.promotion.outcome))
    return rows


def _offset(offset: int | None) -> str:
    return "-" if offset is None else f"{offset:,}"
