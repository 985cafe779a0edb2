"""Two models on the same products: what a change from one to the other would change.

Products that the older model has learned from would flatter it. `rows_learned_from` tells which may be such, by
the seed of its split: a group's part follows from its hash and the seed, whatever else was in the catalogue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.stats import binomtest

from models.classifier import Classifier
from models.taxonomy import Path
from schemas.errors import SetupError
from training.evaluation import ClassScore, Evaluation, evaluate
from training.examples import Example, examples_of, surest_titles
from training.outcomes import Outcomes, classify_labelled
from training.splits import TEST, assign_parts, groups_of

Fate = Literal["right", "wrong", "review"]
"""Published and true, published and not, not published."""

FATES: Final[tuple[Fate, ...]] = ("right", "wrong", "review")
_EXAMPLES: Final = 3
_FIGURES: Final = ("accuracy", "exact_accuracy", "macro_f1", "coverage", "precision", "ece", "log_loss")

_pc: Final[Any] = pc  # its stubs refuse two columns of lists


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureChange:
    """A figure of `Evaluation.summary`, of both models."""

    name: str
    champion: float
    candidate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryChange:
    """A class of either model; the scores of a model that has no such class are None."""

    path: Path
    champion: ClassScore | None
    candidate: ClassScore | None

    @property
    def gain(self) -> float | None:
        """Return how much F1 the candidate has more; None where the two cannot be compared."""
        if self.champion is None or self.candidate is None:
            return None
        return self.candidate.f1 - self.champion.f1


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """Products with the fate `before` under the champion and `after` under the candidate, and some of them.

    `examples` are pairs of what the champion and what the candidate decided, of different titles; those come first
    of which the model that published was surest.
    """

    before: Fate
    after: Fate
    n: int
    examples: tuple[tuple[Example, Example], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What two models did on the same products.

    Attributes:
        champion, candidate: name and version of the older and of the newer model.
        n: products that were compared.
        n_set_aside: further products, which the champion may have learned from; they count nowhere else.
        same_classes: whether both have the same leaves. If not, accuracy is against each model's own classes, and
            only exact accuracy, coverage and precision ask the same of both.
        figures: of both.
        gained, lost: products whose most probable leaf is right for the candidate only, for the champion only.
        p_value: how likely a difference like `gained` and `lost` is between two equally good models (exact sign
            test, two-sided). Products that repeat each other's title count as independent: it is a bit too sure.
        n_other_path: products that both publish, under different paths.
        transitions: all nine, in the order of `FATES`; examples only where the fate changes.
        categories: classes of either model, in order.
    """

    champion: str
    candidate: str
    n: int
    n_set_aside: int
    same_classes: bool
    figures: tuple[FigureChange, ...]
    gained: int
    lost: int
    p_value: float
    n_other_path: int
    transitions: tuple[Transition, ...]
    categories: tuple[CategoryChange, ...]


def compare(
    champion: Classifier,
    candidate: Classifier,
    products: pa.Table,
    *,
    learned_from: npt.NDArray[np.bool_] | None = None,
    n_examples: int = _EXAMPLES,
) -> Comparison:
    """Compare two models on products of `LABELLED_PRODUCT` that the candidate has not learned from.

    Rows for which `learned_from`, bool (n), is True are set aside. Pure. Raises SetupError if no row is left.
    """
    n_given = products.num_rows
    if learned_from is not None:
        products = products.filter(pa.array(~learned_from))
        if n_given and not products.num_rows:
            raise SetupError(
                f"All {n_given:,} products may be of those that {champion.name} {champion.version} has learned "
                "from: compare the models on other products."
            )
    before, after = classify_labelled(champion, products), classify_labelled(candidate, products)
    of_champion, of_candidate = evaluate(before), evaluate(after)
    gained = int((after.is_right & ~before.is_right).sum())
    lost = int((before.is_right & ~after.is_right).sum())
    is_other = _pc.not_equal(_joined(before), _joined(after)).to_numpy(zero_copy_only=False)
    return Comparison(
        champion=f"{champion.name} {champion.version}",
        candidate=f"{candidate.name} {candidate.version}",
        n=products.num_rows,
        n_set_aside=n_given - products.num_rows,
        same_classes=champion.taxonomy.leaves == candidate.taxonomy.leaves,
        figures=tuple(
            FigureChange(name=name, champion=of_champion.summary()[name], candidate=of_candidate.summary()[name])
            for name in _FIGURES
        ),
        gained=gained,
        lost=lost,
        p_value=float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0,
        n_other_path=int((is_other & before.is_published & after.is_published).sum()),
        transitions=_transitions(before, after, products, n_examples),
        categories=_categories(of_champion, of_candidate),
    )


def rows_learned_from(lineage: Mapping[str, object], products: pa.Table) -> npt.NDArray[np.bool_] | None:
    """Say of each product whether a model of this lineage may have been fitted, or calibrated, on it.

    It was not if its group is in the test part of that model's split. Otherwise it was if it stood in the
    catalogue then, which nobody knows now. None if the lineage does not tell the seed.
    """
    seed = lineage.get("seed")
    if not isinstance(seed, int):
        return None
    learned: npt.NDArray[np.bool_] = assign_parts(groups_of(products), seed=seed) != TEST
    return learned


def _joined(outcomes: Outcomes) -> Any:
    return _pc.binary_join(outcomes.decisions["category_path"], "\x1f")


def _fates(outcomes: Outcomes) -> npt.NDArray[np.int64]:
    """Return the position in FATES of each row."""
    return np.where(outcomes.is_published, np.where(outcomes.is_true, 0, 1), 2)


def _transitions(before: Outcomes, after: Outcomes, products: pa.Table, n_examples: int) -> tuple[Transition, ...]:
    of_champion, of_candidate = _fates(before), _fates(after)
    sure = np.where(
        after.is_published,
        after.decisions["confidence"].to_numpy(),
        before.decisions["confidence"].to_numpy(),
    )
    transitions = []
    for i, old in enumerate(FATES):
        for j, new in enumerate(FATES):
            rows = np.nonzero((of_champion == i) & (of_candidate == j))[0]
            shown = surest_titles(sure, products, rows if old != new else rows[:0], n_examples)
            examples = zip(examples_of(before, products, shown), examples_of(after, products, shown), strict=True)
            transitions.append(Transition(before=old, after=new, n=len(rows), examples=tuple(examples)))
    return tuple(transitions)


def _categories(champion: Evaluation, candidate: Evaluation) -> tuple[CategoryChange, ...]:
    old = {one.path: one for one in champion.classes}
    new = {one.path: one for one in candidate.classes}
    return tuple(
        CategoryChange(path=path, champion=old.get(path), candidate=new.get(path))
        for path in sorted(old.keys() | new.keys())
    )
