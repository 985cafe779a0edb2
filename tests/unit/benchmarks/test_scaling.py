"""The rate of workers is taken after their starts, and compared with one worker on one core."""

from __future__ import annotations

import pytest

from benchmarks.scaling import Scaled, rate_between, table


def test_the_rate_leaves_out_what_came_before_a_share_was_done() -> None:
    looks = [(0.0, 0), (8.0, 10), (9.0, 200), (10.0, 700), (11.0, 1_000)]
    assert rate_between(looks, 200) == pytest.approx(400)


def test_the_table_compares_with_its_first_line() -> None:
    found = [Scaled(title="one", events_per_second=50_000.0), Scaled(title="two", events_per_second=75_000.0)]
    assert table(found).splitlines()[2:] == ["| one | 50,000 | 1.00 |", "| two | 75,000 | 1.50 |"]
