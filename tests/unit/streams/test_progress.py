"""When a worker gets on with its work."""

from __future__ import annotations

import pytest

from streams.progress import ProgressWatch, Standing

P = ("products.created", 0)
Q = ("products.created", 1)


def at(done: int | None, end: int | None, answered_at: float | None = None) -> Standing:
    return Standing(done=done, end=end, answered_at=answered_at)


@pytest.fixture
def watch() -> ProgressWatch:
    return ProgressWatch(stuck_after_seconds=30)


def test_a_worker_without_partitions_is_not_ready(watch: ProgressWatch) -> None:
    assert watch.look({}, now=0) == ["no partition is assigned to this worker"]


def test_a_worker_that_has_caught_up_is_ready_for_ever(watch: ProgressWatch) -> None:
    assert all(watch.look({P: at(5, 5)}, now=second) == [] for second in range(0, 1_000, 10))


def test_a_worker_that_moves_is_ready_whatever_its_lag(watch: ProgressWatch) -> None:
    assert all(watch.look({P: at(second, 10**9)}, now=second) == [] for second in range(0, 1_000, 10))


def test_a_partition_that_stands_still_with_work_to_do_makes_the_worker_not_ready(watch: ProgressWatch) -> None:
    assert watch.look({P: at(5, 9)}, now=0) == []
    assert watch.look({P: at(5, 9)}, now=30) == []
    assert watch.look({P: at(5, 9)}, now=31) == ["products.created/0 has not moved for 31 s, with 4 records to do"]


def test_new_records_after_an_idle_hour_are_given_their_time(watch: ProgressWatch) -> None:
    watch.look({P: at(5, 5)}, now=0)
    watch.look({P: at(5, 5)}, now=3_600)
    assert watch.look({P: at(5, 6)}, now=3_601) == []
    assert watch.look({P: at(5, 6)}, now=3_632) != []


def test_one_stuck_partition_among_moving_ones_is_named(watch: ProgressWatch) -> None:
    for second in (0, 20, 40):
        problems = watch.look({P: at(second, 99), Q: at(1, 99)}, now=second)
    assert problems == ["products.created/1 has not moved for 40 s, with 98 records to do"]


def test_a_partition_that_comes_back_starts_afresh(watch: ProgressWatch) -> None:
    watch.look({P: at(5, 9)}, now=0)
    watch.look({Q: at(1, 1)}, now=20)
    assert watch.look({P: at(5, 9), Q: at(1, 1)}, now=40) == []


def test_a_partition_whose_end_was_never_told_is_stuck_in_the_end(watch: ProgressWatch) -> None:
    assert watch.look({P: at(None, None)}, now=0) == []
    assert watch.look({P: at(None, None)}, now=31) == [
        "products.created/0 has not moved for 31 s, and its end is not known"
    ]


def test_a_silent_broker_is_told_although_everything_seems_caught_up(watch: ProgressWatch) -> None:
    assert watch.look({P: at(5, 5, answered_at=100)}, now=120) == []
    assert watch.look({P: at(5, 5, answered_at=100)}, now=131) == [
        "the broker has not answered for products.created/0 in 31 s"
    ]


def test_a_slow_worker_with_full_buffers_is_not_mistaken_for_a_silent_broker(watch: ProgressWatch) -> None:
    watch.look({P: at(5, 99, answered_at=100)}, now=130)
    assert watch.look({P: at(6, 99, answered_at=100)}, now=150) == []


@pytest.mark.parametrize(("done", "end", "lag"), [(None, 7, 7), (3, 7, 4), (7, 7, 0), (8, 7, 0), (3, None, None)])
def test_lag_is_what_is_still_to_be_finished(done: int | None, end: int | None, lag: int | None) -> None:
    assert at(done, end).lag == lag
