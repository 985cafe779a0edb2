import numpy as np
import pytest

from benchmarks.harness.outcomes import (
    Decisions,
    WrongResultsError,
    check_headers,
    check_numbers,
    check_passed_on,
    check_same,
)

KEYS = [b"bench-0", b"bench-1"]
VALUES = [b"a", b"b"]


def decisions(*confidences: float, path: str = "Core > memory") -> Decisions:
    return Decisions(paths=np.array([path] * len(confidences)), confidences=np.array(confidences))


def test_a_missing_and_a_repeated_event_are_told() -> None:
    with pytest.raises(WrongResultsError, match="of 4 events 2 have no result and 1 more than one"):
        check_numbers(np.array([0, 1, 1]), 4)


def test_an_event_that_nobody_sent_is_refused() -> None:
    with pytest.raises(WrongResultsError):
        check_numbers(np.array([0, 1, 2]), 2)


def test_events_in_any_order_are_accepted() -> None:
    check_numbers(np.array([2, 0, 1]), 3)


def test_the_same_categories_with_confidences_near_by_are_the_same() -> None:
    check_same(decisions(0.5, 0.9), decisions(0.5 + 9e-7, 0.9))


def test_another_category_is_told_with_both_names() -> None:
    with pytest.raises(WrongResultsError, match=r"1 of 1 events .* 'Case' instead of 'Core > memory'"):
        check_same(decisions(0.5, path="Case"), decisions(0.5))


@pytest.mark.parametrize("confidence", [0.5 + 2e-6, float("nan")])
def test_another_confidence_is_refused(confidence: float) -> None:
    with pytest.raises(WrongResultsError, match="a confidence is"):
        check_same(decisions(confidence), decisions(0.5))


def test_fewer_events_than_were_decided_on_are_compared_with_the_first() -> None:
    check_same(decisions(0.5), decisions(0.5, 0.9))


def test_the_floor_passes_on_every_byte() -> None:
    check_passed_on([(b"bench-1", b"b", 7), (b"bench-0", b"a", 7)], KEYS, VALUES)
    with pytest.raises(WrongResultsError, match="was not passed on as it was"):
        check_passed_on([(b"bench-1", b"a", 7), (b"bench-0", b"a", 7)], KEYS, VALUES)


def test_a_result_with_fewer_headers_is_refused() -> None:
    check_headers([(b"bench-0", b"a", 7)], 7)
    with pytest.raises(WrongResultsError, match="6 headers instead of 7"):
        check_headers([(b"bench-0", b"a", 7), (b"bench-1", b"b", 6)], 7)
