"""Whether a model may become the champion: a decision on numbers alone.

Figures of few rows move by chance. A fall on rows that came later, or in one category, therefore counts only if it
is larger than its bound *and* too large to be chance; on the champion's own test rows, which are many, the bound
alone decides. What that cannot see: a fall that few rows hide.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from models.taxonomy import Path
from training.evaluation import Evaluation
from training.taxonomy_change import TaxonomyChange

#: One-sided 5 %.
_Z: Final = 1.645
_P: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much worse is still good enough. Shares, from 0 to 1.

    Attributes:
        accuracy_fall: of accuracy, on either set of rows.
        coverage_fall: of the share that is published.
        category_fall: of one category's recall.
        category_support: a category with fewer rows is not judged.
        precision_miss: how far the precision of what is published may lie below the model's own target.
        calibration_error: beyond what a perfectly calibrated model would show on as many rows.
        rows: fewer of the champion's own test rows are not enough to compare on.
        newer_rows: fewer rows that came later are not judged.
    """

    accuracy_fall: float = 0.005
    coverage_fall: float = 0.02
    category_fall: float = 0.05
    category_support: int = 30
    precision_miss: float = 0.01
    calibration_error: float = 0.05
    rows: int = 100
    newer_rows: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryFigures:
    """Recall of a category that both models have, on the same `n` rows of it."""

    path: Path
    n: int
    champion: float
    candidate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsFigures:
    """Both models on the same rows.

    Attributes:
        n: rows.
        accuracy, coverage: of champion and candidate. With the same classes accuracy is of the most probable leaf,
            otherwise of the leaf that is exactly the true path.
        p_value: how likely so large a difference in accuracy is between equally good models.
        categories: those that both have and that have rows.
    """

    n: int
    accuracy: tuple[float, float]
    coverage: tuple[float, float]
    p_value: float
    categories: tuple[CategoryFigures, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One question to the candidate: what was found, what was wanted, and whether that is good enough."""

    name: str
    passed: bool
    found: str
    wanted: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """The candidate alone, on its own test rows.

    `target_precision` is what its thresholds were chosen for, or None.
    """

    evaluation: Evaluation
    target_precision: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """The candidate beside the champion.

    `own` is on the champion's test rows, `newer` on rows that came later; None where there is not one row.
    """

    own: RowsFigures | None
    newer: RowsFigures | None
    taxonomy: TaxonomyChange = field(default_factory=lambda: TaxonomyChange(added=(), removed=(), renamed=()))


def judge_alone(candidate: Candidate, limits: Limits) -> tuple[Check, ...]:
    """Ask what every champion must be, the first one, too: better than a guess, precise, calibrated."""
    evaluation, target = candidate.evaluation, candidate.target_precision
    noise = calibration_noise(evaluation)
    checks = [
        Check(
            name="better than a guess",
            passed=evaluation.accuracy > evaluation.baseline,
            found=f"accuracy {evaluation.accuracy:.4f}",
            wanted=f"above {evaluation.baseline:.4f}, always the largest category",
        ),
        Check(
            name="publishes",
            passed=evaluation.coverage > 0,
            found=f"{evaluation.coverage:.4f} of the products without a person",
            wanted="anything at all",
        ),
        Check(
            name="calibration",
            passed=evaluation.ece <= limits.calibration_error + noise,
            found=f"ECE {evaluation.ece:.4f}",
            wanted=f"at most {limits.calibration_error:g} + {noise:.4f}, which chance alone makes",
        ),
    ]
    if target is not None:
        least = target - limits.precision_miss
        published = evaluation.n * evaluation.coverage
        by_chance = _Z * math.sqrt(target * (1 - target) / published) if published else 0.0
        checks.append(
            Check(
                name="precision",
                passed=evaluation.precision >= least - by_chance,
                found=f"{evaluation.precision:.4f} of what is published",
                wanted=f"at least {target:g} - {limits.precision_miss:g} - {by_chance:.4f} for chance",
            )
        )
    return tuple(checks)


def judge_against(against: Against, limits: Limits, *, allow_taxonomy_change: bool) -> tuple[Check, ...]:
    """Ask what a successor must be: as good as the champion on its rows and on newer ones, and no surprise."""
    return tuple(_judged(against, limits, allow_taxonomy_change=allow_taxonomy_change))


def calibration_noise(evaluation: Evaluation) -> float:
    """Return the calibration error that a perfectly calibrated model would show on these rows, on average.

    In each bin accuracy differs from confidence by the error of a mean of `n` draws.
    """
    return sum(
        one.n / evaluation.n * math.sqrt(2 / math.pi * one.confidence * (1 - one.confidence) / one.n)
        for one in evaluation.reliability
    )


def _judged(against: Against, limits: Limits, *, allow_taxonomy_change: bool) -> Iterator[Check]:
    own, newer = against.own, against.newer
    n_own = own.n if own is not None else 0
    yield Check(
        name="rows to compare on",
        passed=n_own >= limits.rows,
        found=f"{n_own:,} of the champion's test rows",
        wanted=f"at least {limits.rows:,}",
    )
    if own is not None and n_own >= limits.rows:
        yield _accuracy("accuracy, champion's test rows", own, limits, is_chance=False)
        yield _coverage("coverage, champion's test rows", own, limits)
        yield _categories("categories, champion's test rows", own.categories, limits)
    if newer is not None and newer.n >= limits.newer_rows:
        yield _accuracy("accuracy, newer rows", newer, limits, is_chance=newer.p_value >= _P)
        yield _categories("categories, newer rows", newer.categories, limits)
    else:
        yield Check(
            name="accuracy, newer rows",
            passed=True,
            found=f"{newer.n if newer else 0} rows, not judged",
            wanted=f"{limits.newer_rows} rows or more to judge on",
        )
    change = against.taxonomy
    yield Check(
        name="taxonomy",
        passed=allow_taxonomy_change or not change.breaks_subscribers,
        found=f"{len(change.removed)} removed, {len(change.renamed)} renamed, {len(change.added)} added",
        wanted="any (--allow-taxonomy-change)" if allow_taxonomy_change else "none removed or renamed",
    )


def _accuracy(name: str, rows: RowsFigures, limits: Limits, *, is_chance: bool) -> Check:
    champion, candidate = rows.accuracy
    is_close = _fall(champion, candidate) <= limits.accuracy_fall
    chance = "" if is_close or not is_chance else f", not more than chance (p = {rows.p_value:.2f})"
    return Check(
        name=name,
        passed=is_close or is_chance,
        found=f"{candidate:.4f} on {rows.n:,} rows{chance}",
        wanted=f"at least {champion:.4f} - {limits.accuracy_fall:g}",
    )


def _coverage(name: str, rows: RowsFigures, limits: Limits) -> Check:
    champion, candidate = rows.coverage
    return Check(
        name=name,
        passed=_fall(champion, candidate) <= limits.coverage_fall,
        found=f"{candidate:.4f}",
        wanted=f"at least {champion:.4f} - {limits.coverage_fall:g}",
    )


def _categories(name: str, categories: Sequence[CategoryFigures], limits: Limits) -> Check:
    judged = [one for one in categories if one.n >= limits.category_support]
    fallen = [one for one in judged if _has_fallen(one, limits)]
    worst = sorted(fallen, key=lambda one: one.candidate - one.champion)
    told = "; ".join(
        f"{' > '.join(one.path)} {one.champion:.3f} to {one.candidate:.3f} on {one.n}" for one in worst
    )
    return Check(
        name=name,
        passed=not fallen,
        found=f"{len(fallen)} of {len(judged)} have fallen" + (f": {told}" if told else ""),
        wanted=f"no recall lower by {limits.category_fall:g}, with {limits.category_support} rows or more",
    )


def _has_fallen(one: CategoryFigures, limits: Limits) -> bool:
    """Say whether recall fell by more than the bound, and more than two samples of this size differ by chance.

    The rows are the same for both models, so the true error of the difference is smaller: this one errs on the
    side of chance, which keeps a catalogue of hundreds of categories from failing by their number.
    """
    fall = _fall(one.champion, one.candidate)
    variance = sum(share * (1 - share) / one.n for share in (one.champion, one.candidate))
    return fall > limits.category_fall and fall > _Z * math.sqrt(variance)


def _fall(champion: float, candidate: float) -> float:
    return round(champion - candidate, 12)  # 0.9 - 0.895 is not more than 0.005
