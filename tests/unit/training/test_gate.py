from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.taxonomy import Path
from training.evaluation import ClassScore, Evaluation, ReliabilityBin
from training.gate import (
    Against,
    Candidate,
    CategoryFigures,
    Check,
    Limits,
    RowsFigures,
    judge_against,
    judge_alone,
)
from training.taxonomy_change import TaxonomyChange, taxonomy_change

LIMITS = Limits()
AS_GOOD = RowsFigures(n=2_000, accuracy=(0.9, 0.9), coverage=(0.8, 0.8), p_value=1.0, categories=())


def score(path: Path, support: int) -> ClassScore:
    return ClassScore(
        path=path, support=support, precision=1, recall=1, f1=1, coverage=1, published=1, published_precision=1
    )


def evaluation(
    n: int = 1_000, accuracy: float = 0.9, ece: float = 0.02, coverage: float = 0.8, precision: float = 0.95
) -> Evaluation:
    return Evaluation(
        n=n,
        n_unknown=0,
        accuracy=accuracy,
        exact_accuracy=accuracy,
        macro_f1=accuracy,
        top3=1.0,
        coverage=coverage,
        accepted=coverage,
        precision=precision,
        ece=ece,
        log_loss=0.3,
        reliability=tuple(ReliabilityBin(n=n // 10, confidence=0.9, accuracy=0.9) for _ in range(10)),
        classes=(score(("a",), n // 2), score(("b",), n - n // 2)),
        confusion=np.zeros((0, 3), np.int64),
    )


def alone(made: Evaluation, *, target: float | None = 0.95) -> set[str]:
    """The names of the checks that fail."""
    return failed(judge_alone(Candidate(evaluation=made, target_precision=target), LIMITS))


def against(
    own: RowsFigures | None = AS_GOOD,
    newer: RowsFigures | None = None,
    change: TaxonomyChange | None = None,
    *,
    allowed: bool = False,
) -> set[str]:
    case = Against(own=own, newer=newer, **({} if change is None else {"taxonomy": change}))
    return failed(judge_against(case, LIMITS, allow_taxonomy_change=allowed))


def failed(checks: tuple[Check, ...]) -> set[str]:
    return {check.name for check in checks if not check.passed}


def category(n: int, champion: float, candidate: float) -> RowsFigures:
    figures = CategoryFigures(path=("a", "b"), n=n, champion=champion, candidate=candidate)
    return replace(AS_GOOD, categories=(figures,))


def test_a_first_champion_needs_no_other_but_has_to_be_good_by_itself() -> None:
    assert alone(evaluation()) == set()
    assert alone(evaluation(accuracy=0.5)) == {"better than a guess"}
    assert alone(evaluation(coverage=0.0)) == {"publishes"}
    assert alone(evaluation(precision=0.90)) == {"precision"}
    assert alone(evaluation(precision=0.50), target=None) == set()
    assert alone(evaluation(ece=0.2)) == {"calibration"}


def test_few_rows_may_miss_calibration_and_precision_by_what_chance_makes() -> None:
    assert alone(evaluation(n=20_000, ece=0.07)) == {"calibration"}
    assert alone(evaluation(n=150, ece=0.07)) == set()
    assert alone(evaluation(n=20_000, precision=0.93)) == {"precision"}
    assert alone(evaluation(n=150, precision=0.93)) == set()


def test_a_successor_may_be_a_little_worse_and_no_more() -> None:
    assert against() == set()
    assert against(replace(AS_GOOD, accuracy=(0.9, 0.895))) == set()
    assert against(replace(AS_GOOD, accuracy=(0.9, 0.8949))) == {"accuracy, champion's test rows"}
    assert against(replace(AS_GOOD, coverage=(0.8, 0.78))) == set()
    assert against(replace(AS_GOOD, coverage=(0.8, 0.7799))) == {"coverage, champion's test rows"}


def test_a_fall_on_newer_rows_counts_unless_it_may_be_chance() -> None:
    worse = replace(AS_GOOD, accuracy=(0.9, 0.85))
    assert against(newer=replace(worse, p_value=0.01)) == {"accuracy, newer rows"}
    assert against(newer=replace(worse, p_value=0.3)) == set()
    assert against(newer=replace(worse, p_value=0.01, n=29)) == set()
    assert against(replace(worse, p_value=0.3)) == {"accuracy, champion's test rows"}


def test_without_enough_rows_of_the_champion_nothing_is_promoted_unseen() -> None:
    assert against(None) == {"rows to compare on"}
    assert against(replace(AS_GOOD, n=99)) == {"rows to compare on"}


@pytest.mark.parametrize(
    ("n", "champion", "candidate", "falls"),
    [
        (300, 0.90, 0.84, True),
        (300, 0.90, 0.86, False),  # within the bound
        (30, 0.90, 0.83, False),  # two rows: chance
        (30, 0.90, 0.60, True),
        (29, 0.90, 0.10, False),  # too few to judge
        (300, 0.50, 0.90, False),
    ],
)
def test_no_category_may_fall_by_more_than_its_bound_and_chance(
    n: int, champion: float, candidate: float, *, falls: bool
) -> None:
    rows = category(n, champion, candidate)
    assert against(rows) == ({"categories, champion's test rows"} if falls else set())
    assert against(newer=rows) == ({"categories, newer rows"} if falls else set())


def test_the_category_that_has_fallen_is_named() -> None:
    case = Against(own=category(300, 0.9, 0.5), newer=None)
    (check,) = (check for check in judge_against(case, LIMITS, allow_taxonomy_change=False) if not check.passed)
    assert "a > b 0.900 to 0.500 on 300" in check.found


def test_removed_and_renamed_categories_need_a_word_and_added_ones_do_not() -> None:
    removed = taxonomy_change([("a",), ("b",)], [("a",)])
    added = taxonomy_change([("a",)], [("a",), ("b",)])
    renamed = taxonomy_change([("a", "b")], [("c", "b")])
    assert against(change=added) == set()
    for change in (removed, renamed):
        assert against(change=change) == {"taxonomy"}
        assert against(change=change, allowed=True) == set()


def test_products_tell_a_new_name_from_a_category_that_went_and_another_that_came() -> None:
    old, new = [("a", "b"), ("d",)], [("c",), ("d",)]
    moved = [(("a", "b"), ("c",))] * 3
    assert taxonomy_change(old, new).removed == (("a", "b"),)
    assert taxonomy_change(old, new, moved).renamed == ((("a", "b"), ("c",)),)
    assert taxonomy_change(old, new, moved[:2]).added == (("c",),)
    scattered = [*moved, *([(("a", "b"), ("d",))] * 4)]
    assert taxonomy_change(old, new, scattered).removed == (("a", "b"),)
