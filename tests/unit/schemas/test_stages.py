from __future__ import annotations

import doctest
import time

from schemas import stages
from schemas.stages import StageClock


def test_the_examples_in_the_docstrings_hold() -> None:
    result = doctest.testmod(stages)
    assert result.attempted > 0
    assert result.failed == 0


def test_what_was_taken_is_not_counted_again() -> None:
    clock = StageClock(iter([0, 7, 10, 14]).__next__)
    clock.start()
    clock.lap("trees")
    assert clock.taken() == {"trees": 7}
    assert clock.taken() == {}
    clock.start()
    clock.lap("trees")
    assert clock.taken() == {"trees": 4}


def test_a_lap_is_the_thread_s_own_cpu_time() -> None:
    clock = StageClock()
    began = time.thread_time_ns()
    clock.start()
    sum(range(10_000))
    clock.lap("sum")
    assert 0 < clock.nanoseconds["sum"] <= time.thread_time_ns() - began
