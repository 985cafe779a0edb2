"""What becomes of the categories from one model to the next, as subscribers would see it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from models.taxonomy import Path

#: So many products that were relabelled from one category to another make it a new name for the old.
_PRODUCTS_NEEDED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxonomyChange:
    """Categories that can be published: only by the newer model, only by the older one, or under another path.

    Attributes:
        added: without those that are new names; sorted, as the others.
        removed: without those that have a new name.
        renamed: former and new path.
    """

    added: tuple[Path, ...]
    removed: tuple[Path, ...]
    renamed: tuple[tuple[Path, Path], ...]

    @property
    def breaks_subscribers(self) -> bool:
        """Whether a category that subscribers know will not come any more."""
        return bool(self.removed or self.renamed)


def taxonomy_change(
    old: Sequence[Path], new: Sequence[Path], relabelled: Iterable[tuple[Path, Path]] = ()
) -> TaxonomyChange:
    """Compare the leaves of two models.

    A removed category was renamed if most of its products that changed category (at least three) now have the same
    added one, or, where no product tells, if exactly one added category ends in the same label.

    >>> change = taxonomy_change([("A", "x"), ("B",)], [("C", "x"), ("B",), ("D",)])
    >>> change.renamed, change.removed, change.added
    (((('A', 'x'), ('C', 'x')),), (), (('D',),))
    """
    gone, come = sorted(set(old) - set(new)), sorted(set(new) - set(old))
    moves: dict[Path, Counter[Path]] = {}
    for before, after in relabelled:
        moves.setdefault(before, Counter())[after] += 1
    renamed: list[tuple[Path, Path]] = []
    free = set(come)
    for path in gone:
        target = _new_name(path, free, moves.get(path))
        if target is not None:
            renamed.append((path, target))
            free.discard(target)
    named = {path for path, _ in renamed}
    return TaxonomyChange(
        added=tuple(path for path in come if path in free),
        removed=tuple(path for path in gone if path not in named),
        renamed=tuple(renamed),
    )


def _new_name(path: Path, free: set[Path], moves: Counter[Path] | None) -> Path | None:
    if moves:
        target, n = moves.most_common(1)[0]
        is_most = n >= _PRODUCTS_NEEDED and 2 * n > moves.total()
        return target if is_most and target in free else None
    alike = [one for one in free if one[-1] == path[-1]]
    return alike[0] if len(alike) == 1 else None
