import os

import pytest

from benchmarks.harness.process_cpu import ProcessTimes, cpu_seconds, tree_ticks

PROCESSES = [
    ProcessTimes(pid=1, parent=0, ticks=1000),
    ProcessTimes(pid=10, parent=1, ticks=7),
    ProcessTimes(pid=11, parent=10, ticks=20),
    ProcessTimes(pid=12, parent=11, ticks=300),
    ProcessTimes(pid=13, parent=1, ticks=5000),
]


def test_children_and_their_children_count_and_nobody_else() -> None:
    assert tree_ticks(PROCESSES, 10) == 327


def test_a_process_that_has_ended_has_no_cpu_time() -> None:
    with pytest.raises(ProcessLookupError):
        tree_ticks(PROCESSES, 99)


def test_the_time_of_this_process_is_what_the_system_tells_it() -> None:
    before = sum(os.times()[:2])
    found = cpu_seconds(os.getpid())
    # A tick is a hundredth of a second; children that ended count in addition.
    assert found >= before - 0.02
