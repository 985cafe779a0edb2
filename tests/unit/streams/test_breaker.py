"""When the stream stops because too much is dead-lettered."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from schemas.errors import StreamHaltedError
from streams.breaker import Breaker

if TYPE_CHECKING:
    from tests.unit.streams.conftest import Workbench


def test_it_stops_a_row_of_dead_letters_that_is_too_long() -> None:
    breaker = Breaker(most_in_a_row=10)
    breaker.note(8, [2, 3, 4, 5, 6, 7])
    breaker.note(4, [0, 1, 2, 3])
    with pytest.raises(StreamHaltedError, match=r"11 records in a row .* 10 are allowed"):
        breaker.note(2, [0])


def test_one_good_record_ends_the_row_wherever_it_stands() -> None:
    breaker = Breaker(most_in_a_row=10)
    for _ in range(100):
        breaker.note(10, [1, 2, 3, 4, 5, 6, 7, 8, 9])
        breaker.note(2, [0])
        breaker.note(11, [0, 1, 2, 3, 4, 6, 7, 8, 9, 10])


def test_a_row_inside_a_group_that_ends_well_is_noticed() -> None:
    breaker = Breaker(most_in_a_row=3)
    with pytest.raises(StreamHaltedError):
        breaker.note(100, [10, 11, 12, 13])


def test_an_empty_group_changes_nothing() -> None:
    breaker = Breaker(most_in_a_row=3)
    breaker.note(3, [0, 1, 2])
    breaker.note(0, [])
    with pytest.raises(StreamHaltedError):
        breaker.note(1, [0])


def test_a_share_is_exceeded_although_no_row_is_long() -> None:
    breaker = Breaker(most_in_a_row=10, most_share=0.5, window=100, minimum=20)
    for _ in range(200):
        breaker.note(2, [1])  # every other one: half of them, as allowed
    with pytest.raises(
        StreamHaltedError, match="51 of the last 100 records were dead letters, and 50% are allowed"
    ):
        breaker.note(2, [0, 1])


def test_a_share_of_few_records_says_nothing() -> None:
    breaker = Breaker(most_in_a_row=1_000, most_share=0.1, window=100, minimum=20)
    breaker.note(19, range(19))
    with pytest.raises(StreamHaltedError, match="20 of the last 20"):
        breaker.note(1, [0])


def test_what_left_the_window_is_forgotten() -> None:
    breaker = Breaker(most_in_a_row=1_000, most_share=0.5, window=100, minimum=10)
    breaker.note(10, range(5))
    breaker.note(1_000, [])
    breaker.note(50, range(50))
    with pytest.raises(StreamHaltedError, match="51 of the last 100"):
        breaker.note(1, [0])


def test_a_whole_share_never_stops_the_stream() -> None:
    breaker = Breaker(most_in_a_row=10_000, most_share=1.0, window=10, minimum=1)
    breaker.note(1_000, range(1_000))


@pytest.mark.parametrize("seed", range(20))
def test_groups_of_any_size_stop_at_the_same_record_as_one_by_one(seed: int) -> None:
    dice = random.Random(seed)
    is_dead = [dice.random() < 0.45 for _ in range(2_000)]
    most, share, window, minimum = 9, 0.55, 50, 25

    def broken_at() -> int | None:
        """Count again from the start at every record."""
        row = 0
        for at, dead in enumerate(is_dead):
            row = row + 1 if dead else 0
            last = is_dead[max(0, at + 1 - window) : at + 1]
            if dead and (row > most or (len(last) >= minimum and sum(last) > share * len(last))):
                return at
        return None

    breaker = Breaker(most_in_a_row=most, most_share=share, window=window, minimum=minimum)
    start, stopped_in = 0, None
    while start < len(is_dead) and stopped_in is None:
        end = start + dice.randint(0, 40)
        group = is_dead[start:end]
        try:
            breaker.note(len(group), [at for at, dead in enumerate(group) if dead])
        except StreamHaltedError:
            stopped_in = (start, end)
        start = end
    expected = broken_at()
    assert expected is not None
    assert stopped_in is not None
    assert stopped_in[0] <= expected < stopped_in[1]


def test_the_sentence_tells_of_the_last_dead_letter(workbench: Workbench) -> None:
    outputs = workbench.processor.process([workbench.product("a", "lamp"), workbench.record(b"b", b"broken")])
    breaker = Breaker(most_in_a_row=0)
    with pytest.raises(
        StreamHaltedError, match=r"the last was products\.created/0/1: value is not Confluent wire"
    ):
        breaker.note(outputs.n_records, outputs.dead_positions, outputs.dead_letters)
