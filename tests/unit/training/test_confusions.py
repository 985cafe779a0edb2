from __future__ import annotations

from collections import Counter

from tests.unit.training.made_outcomes import made_classes, made_outcomes
from training.confusions import worst_confusions

CLASSES = made_classes(8)


def test_the_worst_pairs_are_those_counted_one_by_one() -> None:
    outcomes, products = made_outcomes(600, CLASSES)
    pairs = worst_confusions(outcomes, products, n_pairs=5)

    leaves = outcomes.taxonomy.leaves
    rows = list(zip(outcomes.targets.tolist(), outcomes.best.tolist(), strict=True))
    counted = Counter((leaves[true], leaves[best]) for true, best in rows if true != best)
    assert [pair.n for pair in pairs] == sorted(counted.values(), reverse=True)[:5]
    for pair in pairs:
        assert pair.n == counted[pair.truth, pair.taken_for]
        assert pair.share == pair.n / sum(leaves[true] == pair.truth for true, _ in rows)
        assert 0 <= pair.published <= pair.n


def test_examples_are_of_the_pair_surest_first_and_of_different_titles() -> None:
    outcomes, products = made_outcomes(600, CLASSES)
    pair = worst_confusions(outcomes, products)[0]

    row_of = {product: row for row, product in enumerate(products["product_id"].to_pylist())}
    rows = [row_of[example.product_id] for example in pair.examples]
    assert len(rows) == 3
    assert {outcomes.taxonomy.leaves[outcomes.best[row]] for row in rows} == {pair.taken_for}
    assert {example.truth for example in pair.examples} == {pair.truth}
    confidences = outcomes.confidence[rows].tolist()
    assert confidences == sorted(confidences, reverse=True)
    assert len({example.title for example in pair.examples}) == 3


def test_a_model_that_is_always_right_confuses_nothing() -> None:
    outcomes, products = made_outcomes(100, CLASSES)
    right = outcomes.where(outcomes.is_right)

    assert worst_confusions(right, products.filter(outcomes.is_right)) == ()
