"""The arithmetic of the commit."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.offsets import OffsetLedger

P = ("products.created", 0)
Q = ("products.created", 1)


def ledger_of(*slices: tuple[int, int], generation: int = 1) -> OffsetLedger:
    """A ledger with slices of P, each (last offset, where to resume)."""
    ledger = OffsetLedger()
    ledger.begin(generation)
    for last, resume in slices:
        ledger.deliver(P, last=last, resume=resume)
    return ledger


def test_nothing_is_committable_before_the_first_ack() -> None:
    assert ledger_of((9, 10)).committable(P) is None


def test_an_acked_slice_is_committable_up_to_where_reading_resumes() -> None:
    ledger = ledger_of((9, 10))
    assert ledger.ack(P, 9, 1)
    assert ledger.committable(P) == 10


def test_an_unacked_head_holds_back_everything_behind_it() -> None:
    ledger = ledger_of((9, 10), (19, 20), (29, 30))
    ledger.ack(P, 29, 1)
    ledger.ack(P, 19, 1)
    assert ledger.committable(P) is None
    ledger.ack(P, 9, 1)
    assert ledger.committable(P) == 30


def test_acks_out_of_order_move_the_prefix_only_as_far_as_it_is_complete() -> None:
    ledger = ledger_of((9, 10), (19, 20), (29, 30), (39, 40))
    ledger.ack(P, 9, 1)
    ledger.ack(P, 29, 1)
    assert ledger.committable(P) == 10
    ledger.ack(P, 19, 1)
    assert ledger.committable(P) == 30


def test_gaps_in_the_log_do_not_matter() -> None:
    ledger = ledger_of((3, 4), (1_000, 1_001), (5_000_000, 5_000_007))
    for last in (3, 1_000, 5_000_000):
        ledger.ack(P, last, 1)
    assert ledger.committable(P) == 5_000_007


def test_control_records_after_the_last_slice_are_passed_once_it_is_acked() -> None:
    ledger = ledger_of((9, 10))
    ledger.skip(P, 12)
    assert ledger.committable(P) is None
    ledger.ack(P, 9, 1)
    assert ledger.committable(P) == 12


def test_control_records_with_nothing_in_flight_are_passed_at_once() -> None:
    ledger = ledger_of()
    ledger.skip(P, 12)
    assert ledger.committable(P) == 12


def test_skipping_never_goes_back() -> None:
    ledger = ledger_of((9, 10))
    ledger.ack(P, 9, 1)
    ledger.skip(P, 5)
    assert ledger.committable(P) == 10


def test_asking_twice_gives_the_same_so_a_failed_commit_is_repeated() -> None:
    ledger = ledger_of((9, 10))
    ledger.ack(P, 9, 1)
    assert [ledger.committable(P), ledger.committable(P)] == [10, 10]


def test_an_ack_of_another_generation_is_ignored() -> None:
    ledger = ledger_of((9, 10), generation=1)
    ledger.begin(2)
    ledger.deliver(P, last=9, resume=10)
    assert not ledger.ack(P, 9, 1)
    assert ledger.committable(P) is None
    assert ledger.in_flight == 1


def test_a_second_ack_of_the_same_slice_is_no_news() -> None:
    ledger = ledger_of((9, 10), (19, 20))
    assert ledger.ack(P, 19, 1)
    assert not ledger.ack(P, 19, 1)
    assert ledger.in_flight == 1


def test_an_ack_for_a_revoked_partition_is_ignored() -> None:
    ledger = ledger_of((9, 10))
    ledger.drop([P])
    assert not ledger.ack(P, 9, 1)
    assert ledger.committable(P) is None
    assert ledger.in_flight == 0


def test_dropping_a_partition_leaves_the_others_alone() -> None:
    ledger = ledger_of((9, 10))
    ledger.deliver(Q, last=4, resume=5)
    ledger.ack(Q, 4, 1)
    ledger.drop([P])
    assert list(ledger.partitions()) == [Q]
    assert ledger.committable(Q) == 5


def test_a_new_generation_forgets_what_was_committable() -> None:
    ledger = ledger_of((9, 10))
    ledger.ack(P, 9, 1)
    ledger.begin(2)
    assert ledger.committable(P) is None
    assert (ledger.in_flight, ledger.generation) == (0, 2)


@pytest.mark.parametrize(("last", "resume"), [(5, 6), (9, 10), (12, 12)])
def test_a_slice_that_does_not_follow_is_a_bug_and_refused(last: int, resume: int) -> None:
    ledger = ledger_of((9, 10))
    with pytest.raises(ValueError, match="slice"):
        ledger.deliver(P, last=last, resume=resume)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_the_commit_is_always_the_end_of_the_longest_acked_prefix(data: st.DataObject) -> None:
    steps = data.draw(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 9)), min_size=1, max_size=8))
    slices: list[tuple[int, int]] = []
    position = data.draw(st.integers(0, 100))
    for length, markers in steps:
        slices.append((position + length - 1, position + length + markers))
        position += length + markers
    ledger = ledger_of(*slices)
    acked: set[int] = set()
    for index in data.draw(st.permutations(range(len(slices)))):
        ledger.ack(P, slices[index][0], 1)
        acked.add(index)
        prefix = list(itertools.takewhile(acked.__contains__, range(len(slices))))
        assert ledger.committable(P) == (slices[prefix[-1]][1] if prefix else None)
        assert ledger.in_flight == len(slices) - len(acked)


def test_a_slice_is_held_until_it_is_acknowledged_dropped_or_of_an_older_generation() -> None:
    ledger = OffsetLedger()
    ledger.begin(1)
    ledger.deliver(("t", 0), last=4, resume=5)
    assert ledger.holds(("t", 0), 4, 1)
    assert not ledger.holds(("t", 0), 4, 2)
    assert not ledger.holds(("t", 0), 3, 1)
    assert not ledger.holds(("t", 1), 4, 1)
    ledger.ack(("t", 0), 4, 1)
    assert not ledger.holds(("t", 0), 4, 1)
    ledger.deliver(("t", 0), last=6, resume=7)
    ledger.drop([("t", 0)])
    assert not ledger.holds(("t", 0), 6, 1)


def test_what_is_acknowledged_behind_a_gap_is_told() -> None:
    ledger = OffsetLedger()
    ledger.begin(1)
    ledger.deliver(("t", 0), last=4, resume=5)
    ledger.deliver(("t", 0), last=6, resume=7)
    assert ledger.is_gapless(("t", 0))
    ledger.ack(("t", 0), 6, 1)
    assert not ledger.is_gapless(("t", 0))
    ledger.ack(("t", 0), 4, 1)
    assert ledger.is_gapless(("t", 0))
