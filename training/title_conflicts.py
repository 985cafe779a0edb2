"""Titles that products share under different labels: one is wrong, or two categories mean the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.taxonomy import Path
from schemas.product_files import fold_title


@dataclass(frozen=True, slots=True, kw_only=True)
class TitleConflict:
    """Products of one folded title that do not have one label.

    Attributes:
        title: the title of the first of them, as it was written.
        rows: their positions, ascending.
        counts: each label and its number of products, most frequent first; equals in order of the path.
        majority: the label that more than any other has; None if two share the first place.
    """

    title: str
    rows: tuple[int, ...]
    counts: Mapping[Path, int]
    majority: Path | None


def conflicting_titles(titles: Sequence[str], paths: Sequence[Path]) -> tuple[TitleConflict, ...]:
    """Return the titles with more than one label, those of most products first.

    Titles are the same if they fold to the same text (`schemas.product_files.fold_title`); one that folds to
    nothing ("---") is like no other.
    """
    rows_of: dict[str, list[int]] = {}
    for row, title in enumerate(titles):
        if folded := fold_title(title):
            rows_of.setdefault(folded, []).append(row)
    found = [
        _conflict(titles[rows[0]], rows, [paths[row] for row in rows])
        for rows in rows_of.values()
        if any(paths[row] != paths[rows[0]] for row in rows)
    ]
    return tuple(sorted(found, key=lambda one: (-len(one.rows), one.rows)))


def _conflict(title: str, rows: Sequence[int], paths: Sequence[Path]) -> TitleConflict:
    counts = dict(sorted(Counter(paths).items(), key=lambda item: (-item[1], item[0])))
    first, second, *_ = counts
    return TitleConflict(
        title=title,
        rows=tuple(rows),
        counts=counts,
        majority=first if counts[first] > counts[second] else None,
    )
