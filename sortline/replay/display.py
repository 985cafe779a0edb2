"""A replay as tables on a terminal, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table

from schemas.printable import printable
from sortline.replay.decisions import KINDS
from sortline.replay.difference import Difference, Example, Move
from sortline.replay.run import ReplayReport
from sortline.scores import facts
from sortline.topic_rows import path_text

_CATEGORIES_SHOWN: Final = 20
_PLACES_SHOWN: Final = 20


def show(report: ReplayReport, console: Console) -> None:
    """Print what came of a replay."""
    facts([(name, printable(value)) for name, value in summary(report)], console)
    for reason, places in _by_number(report):
        console.print(printable(f"invalid    {len(places):,}: {reason}"), soft_wrap=True)
        console.print(printable(f"           at {places_text(places)}"), soft_wrap=True)
    if report.difference is not None:
        _show_difference(report.difference, console)


def summary(report: ReplayReport) -> list[tuple[str, str]]:
    """Return the figures as names and values."""
    spans = ", ".join(f"{number}:{first}-{last}" for number, (first, last) in sorted(report.ranges.items()))
    rate = report.n_inputs / max(report.seconds, 1e-9)
    kinds = ", ".join(f"{report.kinds[kind]:,} {kind}" for kind in KINDS if kind in report.kinds)
    rows = [
        ("model", " ".join(report.model)),
        ("input", f"{report.topic}, offsets {spans or 'none'}"),
        ("decided", f"{report.n_inputs:,} records in {report.seconds:.1f} s ({rate:,.0f}/s)"),
        ("now", kinds or "nothing"),
    ]
    if report.published_to is None:
        rows.append(("published", "nothing (no --to)"))
    else:
        rows.append(("published", f"{report.n_published:,} records to {report.published_to}"))
    difference = report.difference
    if difference is not None:
        rows.append(("compared", compared_text(report, difference)))
        if report.models:
            by = sorted(report.models.items(), key=lambda item: -item[1])
            rows.append(("then", ", ".join(f"{n:,} by {model}" for model, n in by)))
        if difference.agreement is not None:
            rows.append(("agreement", agreement_text(difference)))
    return rows


def compared_text(report: ReplayReport, difference: Difference) -> str:
    """Return with how many published decisions it was compared, and what of the rest."""
    n_nothing = sum(n for (before, _), n in difference.counts.items() if before == "nothing")
    parts = [f"{difference.n_compared:,} published decisions"]
    if n_nothing:
        parts.append(f"of {n_nothing:,} inputs nothing is published, or not any more")
    if report.n_repeated:
        parts.append(f"{report.n_repeated:,} were published more than once, the last counts")
    if report.n_unreadable:
        parts.append(f"{report.n_unreadable:,} published events cannot be read")
    return "; ".join(parts)


def agreement_share(difference: Difference) -> str:
    """Return the share that is decided the same; 100 % is all of them, not all but a few."""
    if difference.agreement is None:
        return "–"
    most = 1.0 if difference.n_same == difference.n_compared else 0.9999
    return f"{100 * min(difference.agreement, most):.2f} %"


def agreement_text(difference: Difference) -> str:
    """Return the share in words, and how much of it is equal to the last bit."""
    return (
        f"{agreement_share(difference)} ({difference.n_same:,}) have the same decision and category, "
        f"{difference.n_identical:,} of them the same confidence to the last bit"
    )


def places_text(places: Sequence[tuple[int, int]], most: int = _PLACES_SHOWN) -> str:
    """Return where records are, runs of offsets together, and how many more there are.

    >>> places_text([(0, 3), (0, 4), (1, 7)])
    '0:3-4 1:7'
    """
    shown = sorted(places)[:most]
    runs: list[str] = []
    numbered = enumerate(shown)
    for (partition, _), run in groupby(numbered, key=lambda item: (item[1][0], item[1][1] - item[0])):
        offsets = [offset for _, (_, offset) in run]
        end = f"-{offsets[-1]}" if len(offsets) > 1 else ""
        runs.append(f"{partition}:{offsets[0]}{end}")
    more = len(places) - len(shown)
    return " ".join(runs) + (f" and {more:,} more" if more else "")


def move_text(move: Move) -> str:
    """Return what changed, such as `accepted → review`."""
    return f"{move.before} → {move.after}" if move.before != move.after else f"{move.before}, another category"


def example_text(one: Example) -> str:
    """Return an example on a line; the title is another's text."""
    before, after = (
        "no category" if not path else f"{path_text(path)} {confidence:.3f}"
        for path, confidence in ((one.before, one.before_confidence), (one.after, one.after_confidence))
    )
    return f"{one.partition}:{one.offset} {one.product_id} {one.title!r}: {before} → {after}"


def to_json(report: ReplayReport) -> str:
    """Return everything as one JSON document; what is invalid with all its places."""
    difference = report.difference
    document: dict[str, object] = {
        "model": {"name": report.model[0], "version": report.model[1]},
        "topic": report.topic,
        "offsets": {report.topic: {str(number): list(ends) for number, ends in report.ranges.items()}},
        "n_inputs": report.n_inputs,
        "kinds": report.kinds,
        "invalid": {reason: [list(place) for place in places] for reason, places in report.invalid.items()},
        "published_to": report.published_to,
        "n_published": report.n_published,
        "seconds": report.seconds,
        "difference": None if difference is None else _difference_json(report, difference),
    }
    return json.dumps(document, ensure_ascii=False, allow_nan=False)


def _difference_json(report: ReplayReport, difference: Difference) -> dict[str, object]:
    return {
        "n_compared": difference.n_compared,
        "n_same": difference.n_same,
        "n_identical": difference.n_identical,
        "n_moved": difference.n_moved,
        "models": report.models,
        "agreement": difference.agreement,
        "n_repeated": report.n_repeated,
        "n_unreadable": report.n_unreadable,
        "counts": [
            {"published": before, "now": after, "n": n} for (before, after), n in sorted(difference.counts.items())
        ],
        "moves": [
            {
                "published": move.before,
                "now": move.after,
                "n": move.n,
                "examples": [
                    {name: None if value != value else value for name, value in asdict(one).items()}
                    for one in move.examples
                ],
            }
            for move in difference.moves
        ],
        "categories": [asdict(one) for one in difference.categories],
        "pairs": [{"published": one, "now": other, "n": n} for one, other, n in difference.pairs],
    }


def _show_difference(difference: Difference, console: Console) -> None:
    for move in difference.moves:
        console.print(printable(f"\n{move.n:,}  {move_text(move)}"), soft_wrap=True)
        for one in move.examples:
            console.print(printable(f"    {example_text(one)}"), soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("published category", overflow="ellipsis", no_wrap=True)
    for name in ("inputs", "same", "to review", "otherwise"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in difference.categories[:_CATEGORIES_SHOWN]:
        counts = (row.n, row.n_same, row.n_to_review, row.n_other)
        table.add_row(printable(path_text(row.path)), *(f"{n:,}" for n in counts))
    console.print(table)
    if (more := len(difference.categories) - _CATEGORIES_SHOWN) > 0:
        console.print(f"and {more} categories more, with fewer changes: --json or --html has them")


def _by_number(report: ReplayReport) -> Iterator[tuple[str, list[tuple[int, int]]]]:
    yield from sorted(report.invalid.items(), key=lambda item: (-len(item[1]), item[0]))
