"""What another model would have decided otherwise: counted batch by batch, with examples."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from models.taxonomy import Path
from sortline.replay.decisions import KINDS, N_DECIDED, NOTHING, REVIEW, Lookup, Paths, Rows

EXAMPLES: Final = 5
PAIRS_SHOWN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """An input that is decided otherwise."""

    partition: int
    offset: int
    product_id: str
    title: str
    before: Path
    before_confidence: float
    after: Path
    after_confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Inputs that were published as one thing and would be another now; of the same kind: another category."""

    before: str
    after: str
    n: int
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryCount:
    """What becomes of the inputs that were published with a category.

    Attributes:
        n: how many.
        n_same: the same decision with the same category.
        n_to_review: published without a person before, and for a person to decide now.
        n_other: published before and now, under another category or another decision.
    """

    path: Path
    n: int
    n_same: int
    n_to_review: int
    n_other: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The whole comparison.

    Attributes:
        n_inputs: how many were decided again.
        n_compared: those for which a decision was published; `n_same` of them with the same decision and category,
            `n_identical` with the same confidence, too, to the last bit.
        n_moved: published without a person both times, under another category now.
        counts: inputs by what was published, and by what becomes of them now; both by `KINDS`.
        moves: what changed, most first.
        categories: by the published category, most changes first.
        pairs: categories that were published, those instead of them now, and of how many inputs.
    """

    n_inputs: int
    n_compared: int
    n_same: int
    n_identical: int
    n_moved: int
    counts: Mapping[tuple[str, str], int]
    moves: tuple[Move, ...]
    categories: tuple[CategoryCount, ...]
    pairs: tuple[tuple[Path, Path, int], ...]

    @property
    def agreement(self) -> float | None:
        """The share of the compared inputs that are decided the same; None if there are none."""
        return self.n_same / self.n_compared if self.n_compared else None


#: Tells product id and title of the input in a partition at an offset.
Describe = Callable[[int, int], tuple[str, str]]


class DifferenceCounter:
    """Counts; give it every batch of new decisions once."""

    def __init__(self, published: Lookup, paths: Paths) -> None:
        self._published = published
        self._paths = paths
        self._n_identical = 0
        self._counts = np.zeros((len(KINDS), len(KINDS)), np.int64)
        self._pairs: Counter[tuple[int, int]] = Counter()
        self._by_category: defaultdict[int, Counter[str]] = defaultdict(Counter)
        self._moves: Counter[tuple[int, int]] = Counter()
        self._examples: defaultdict[tuple[int, int], list[Example]] = defaultdict(list)

    def add(self, now: Rows, describe: Describe) -> None:
        """Count what became of a batch of inputs now; `describe` is asked about examples only."""
        before = self._published.find(now.partition, now.offset)
        np.add.at(self._counts, (before.kind, now.kind), 1)
        is_compared = before.kind < N_DECIDED
        is_same = is_compared & (before.kind == now.kind) & (before.path == now.path)
        self._n_identical += int(np.count_nonzero(is_same & (before.confidence == now.confidence)))
        is_decided_now = now.kind < N_DECIDED
        is_published = is_compared & (before.kind != REVIEW)
        to_review = is_published & (now.kind == REVIEW)
        other = is_compared & is_decided_now & ~is_same & ~to_review
        for name, chosen in (("n", is_compared), ("same", is_same), ("to_review", to_review), ("other", other)):
            numbers, counts = np.unique(before.path[chosen], return_counts=True)
            for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
                self._by_category[number][name] += count
        is_moved = is_published & is_decided_now & (now.kind != REVIEW) & (before.path != now.path)
        self._pairs.update(zip(before.path[is_moved].tolist(), now.path[is_moved].tolist(), strict=True))
        # What was not published, or was no decision and is none, is in the table of counts, and is no change.
        is_changed = (before.kind != NOTHING) & ~is_same & (is_compared | (before.kind != now.kind))
        for at in np.flatnonzero(is_changed).tolist():
            self._note(at, before, now, describe)

    def _note(self, at: int, before: Rows, now: Rows, describe: Describe) -> None:
        move = (int(before.kind[at]), int(now.kind[at]))
        self._moves[move] += 1
        examples = self._examples[move]
        if len(examples) < EXAMPLES:
            partition, offset = int(now.partition[at]), int(now.offset[at])
            product_id, title = describe(partition, offset)
            examples.append(
                Example(
                    partition=partition,
                    offset=offset,
                    product_id=product_id,
                    title=title,
                    before=self._paths.known[int(before.path[at])],
                    before_confidence=float(before.confidence[at]),
                    after=self._paths.known[int(now.path[at])],
                    after_confidence=float(now.confidence[at]),
                )
            )

    def result(self) -> Difference:
        """Return what was counted so far."""
        path = self._paths.known
        moves = [
            Move(before=KINDS[before], after=KINDS[after], n=n, examples=tuple(self._examples[before, after]))
            for (before, after), n in self._moves.most_common()
        ]
        categories = [
            CategoryCount(
                path=path[number],
                n=counts["n"],
                n_same=counts["same"],
                n_to_review=counts["to_review"],
                n_other=counts["other"],
            )
            for number, counts in self._by_category.items()
        ]
        categories.sort(key=lambda one: (one.n_same - one.n, -one.n, one.path))
        return Difference(
            n_inputs=int(self._counts.sum()),
            n_compared=int(self._counts[:N_DECIDED].sum()),
            n_same=sum(one.n_same for one in categories),
            n_identical=self._n_identical,
            n_moved=self._pairs.total(),
            counts={
                (KINDS[before], KINDS[after]): int(self._counts[before, after])
                for before, after in np.argwhere(self._counts).tolist()
            },
            moves=tuple(moves),
            categories=tuple(categories),
            pairs=tuple((path[one], path[other], n) for (one, other), n in self._pairs.most_common(PAIRS_SHOWN)),
        )
