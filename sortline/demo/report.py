"""Shows what came out of the stream beside what the demo knows and the model did not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.table import Table

from schemas.printable import printable
from sortline.console import Column, LineTable
from sortline.demo.events import DemoEvents
from sortline.demo.outcomes import Outcomes, is_right
from sortline.scores import facts
from sortline.topic_rows import TopicRow, path_text

_REVIEW_SHOWN: Final = 5
_STYLES: Final = {"accepted": "green", "backed_off": "yellow", "review": "magenta"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What came back, and how fast: seconds from sending the first of `n_fast` events to reading the last."""

    outcomes: Outcomes
    n_fast: int
    fast_seconds: float


def live_table(console: Console) -> LineTable:
    """Return the table of events as they arrive."""
    columns = [
        Column(name="title", width=42),
        Column(name="category", width=30),
        Column(name="confidence", width=10, justify="right"),
        Column(name="decision", width=10),
    ]
    return LineTable(columns, console)


def show_event(row: TopicRow, sent: DemoEvents, table: LineTable) -> None:
    """Print one row of the live table."""
    if row.problem is not None:
        table.row(sent.titles.get(row.key, row.key), row.problem, "", "dead letter", style="red")
    elif row.value is None:
        table.row(sent.titles.get(row.key, row.key), "(withdrawn)", "", "tombstone", style="dim")
    else:
        decision = row.value["decision"]
        table.row(
            sent.titles.get(row.key, row.key),
            path_text(row.value["category_path"]),
            f"{row.value['confidence']:.3f}",
            decision,
            style=_STYLES.get(decision, ""),
        )


def show_review(outcomes: Outcomes, sent: DemoEvents, console: Console) -> None:
    """Print some of what a person has to decide, least certain first, with the answer."""
    if not outcomes.review:
        return
    console.print()
    shown = sorted(((row.value or {})["confidence"], row.key, row) for row in outcomes.review)[:_REVIEW_SHOWN]
    console.print(
        f"To review: {len(outcomes.review):,} events, of which the {len(shown)} least certain:", style="bold"
    )
    columns = [
        Column(name="title", width=22),
        Column(name="best guess", width=30),
        Column(name="confidence", width=10, justify="right"),
        Column(name="in truth", width=30),
    ]
    table = LineTable(columns, console)
    for confidence, key, row in shown:
        guess = path_text((row.value or {})["category_path"])
        table.row(sent.titles.get(key, key), guess, f"{confidence:.3f}", path_text(sent.labels.get(key, ())))


def show_dead_letters(outcomes: Outcomes, console: Console) -> None:
    """Print each unusable record with its reason."""
    console.print()
    console.print(f"Dead letters: {len(outcomes.dead_letters):,}, original bytes kept:", style="bold")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("key", no_wrap=True)
    table.add_column("reason")  # in full, on several lines if need be: it is what a producer acts on
    for row in outcomes.dead_letters:
        table.add_row(printable(row.key), printable(row.problem or ""))
    console.print(table)


def show_summary(watched: Watched, sent: DemoEvents, console: Console) -> None:
    """Print the account of every event, how right what was published is, and how fast it went."""
    outcomes = watched.outcomes
    published = [
        (row.value, sent.labels[row.key]) for row in outcomes.categorized if row.value and row.key in sent.labels
    ]
    right = sum(is_right(value, label) for value, label in published)
    n = len(sent.records)
    balance = "every event accounted for" if outcomes.total == n else f"{n - outcomes.total:,} MISSING"
    console.print()
    console.print("Summary", style="bold")
    rows = [
        ("events in", f"{n:,}"),
        ("  categorized", f"{len(outcomes.categorized):,}"),
        ("  review", f"{len(outcomes.review):,}"),
        ("  dead letters", f"{len(outcomes.dead_letters):,}  ({sent.n_broken} broken records were sent)"),
        ("  tombstones", f"{len(outcomes.withdrawn):,}  ({sent.n_withdrawn} product was withdrawn)"),
        ("balance", balance + (f", {outcomes.repeated:,} seen twice" if outcomes.repeated else "")),
    ]
    if published:
        coverage = len(published) / len(sent.labels)
        rows.append(
            (
                "published",
                f"{right / len(published):.1%} right, and that is {coverage:.1%} of the products "
                "(the rest is for review)",
            )
        )
    rows.append(
        (
            "speed",
            f"{watched.n_fast / max(watched.fast_seconds, 1e-9):,.0f} events/s: {watched.n_fast:,} events in "
            f"{watched.fast_seconds:.2f} s, first one sent to last result read",
        )
    )
    facts(rows, console)
