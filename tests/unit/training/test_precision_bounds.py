from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from training.precision_bounds import DOUBT, POOL_ROWS, is_shown, lower_bound, pool_share

counts = st.integers(1, 400).flatmap(lambda rows: st.tuples(st.integers(0, rows), st.just(rows)))


@settings(max_examples=100, deadline=None)
@given(counts, st.floats(0.01, 0.5))
def test_the_bound_is_that_of_clopper_and_pearson(count: tuple[int, int], doubt: float) -> None:
    right, rows = count
    exact = stats.binomtest(right, rows, alternative="greater").proportion_ci(1 - doubt, "exact").low
    bound = float(lower_bound(right, rows, doubt=doubt))
    assert bound == pytest.approx(exact, abs=1e-9)
    if right:
        assert stats.binom.sf(right - 1, rows, bound) == pytest.approx(doubt, rel=1e-6)


@settings(max_examples=100, deadline=None)
@given(counts, st.floats(0.05, 0.99))
def test_a_target_is_shown_if_the_bound_reaches_it(count: tuple[int, int], target: float) -> None:
    bound = float(lower_bound(*count))
    assume(abs(bound - target) > 1e-9)
    assert bool(is_shown(*count, target)) == (bound >= target)


@settings(max_examples=100, deadline=None)
@given(counts)
def test_a_row_that_is_right_raises_the_bound_and_one_that_is_wrong_lowers_it(count: tuple[int, int]) -> None:
    right, rows = count
    bound = float(lower_bound(right, rows))
    assert float(lower_bound(right + 1, rows + 1)) > bound
    assert float(lower_bound(right, rows + 1)) <= bound


@settings(max_examples=100, deadline=None)
@given(counts, st.integers(2, 20))
def test_more_rows_of_the_same_precision_show_more(count: tuple[int, int], times: int) -> None:
    right, rows = count
    assume(right / rows >= 0.5)
    assert float(lower_bound(times * right, times * rows)) >= float(lower_bound(right, rows)) - 1e-9


def test_eight_rows_that_are_right_do_not_show_a_precision_of_95_percent() -> None:
    assert float(lower_bound(8, 8)) == pytest.approx(DOUBT ** (1 / 8))
    assert not is_shown(8, 8, 0.95)
    assert is_shown(28, 28, 0.95)
    assert not is_shown(0, 0, 0.01)


@settings(max_examples=100, deadline=None)
@given(st.floats(0, 1), counts, st.floats(0, 400))
def test_a_pool_counts_for_fewer_rows_than_it_has_and_than_its_most(
    expected: float, pool: tuple[int, int], promised: float
) -> None:
    right, rows = pool
    counts_for, of_them_right = pool_share(expected, rows, rows - right, promised)
    assert 0 < counts_for < min(rows, POOL_ROWS)
    assert 0 <= of_them_right <= counts_for


def test_a_pool_without_rows_says_nothing() -> None:
    assert [float(count) for count in pool_share(0.1, 0, 0, 0)] == [0, 0]


def test_a_pool_that_was_wrong_twice_as_often_as_it_promised_doubles_the_errors_expected() -> None:
    counts_for, right = pool_share(0.02, 10_000, 199, 99)
    assert 1 - right / counts_for == pytest.approx(0.04)
    assert np.isclose(counts_for, POOL_ROWS, rtol=0.03)
