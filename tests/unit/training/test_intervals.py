from __future__ import annotations

import pytest
from scipy.stats import binomtest

from training.intervals import Share


@pytest.mark.parametrize(("n", "right"), [(1, 0), (1, 1), (20, 20), (37, 5), (13_000, 12_350)])
def test_the_interval_is_wilson_s(n: int, right: int) -> None:
    share = Share(n=n, right=right)

    wanted = binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert share.low == pytest.approx(wanted.low, abs=1e-6)
    assert share.high == pytest.approx(wanted.high, abs=1e-6)
    assert share.value == right / n


def test_of_nothing_the_share_is_unknown_and_may_be_anything() -> None:
    assert Share(n=0, right=0).to_json() == {"n": 0, "right": 0, "value": None, "low": 0.0, "high": 1.0}
