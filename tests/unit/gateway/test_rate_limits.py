from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rate_limits import Allowance, RateLimits, caller_of_address


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def _take(limits: RateLimits, caller: str, products: int = 1) -> Allowance:
    """Take as a request of so many products does."""
    allowance = limits.take(caller)
    if allowance is not None and not allowance.is_exceeded:
        allowance = limits.charge(caller, products - 1)
    assert allowance is not None
    return allowance


def test_a_burst_passes_and_the_next_one_waits_as_long_as_told() -> None:
    clock = Clock()
    limits = RateLimits(10.0, clock=clock)
    assert not _take(limits, "a", 10).is_exceeded
    refused = _take(limits, "a")
    assert refused.is_exceeded
    assert refused.retry_seconds == 1
    clock.now += refused.retry_seconds
    assert not _take(limits, "a").is_exceeded


def test_a_batch_above_the_burst_passes_and_is_waited_off() -> None:
    clock = Clock()
    limits = RateLimits(10.0, clock=clock)
    assert not _take(limits, "a", 100).is_exceeded
    refused = _take(limits, "a")
    assert refused.retry_seconds == 10  # 90 of debt, and one product: 9.1 s
    clock.now += 9.0
    assert _take(limits, "a").is_exceeded
    clock.now += 0.1
    assert not _take(limits, "a").is_exceeded


def test_callers_do_not_share_a_bucket() -> None:
    limits = RateLimits(1.0, clock=Clock())
    _take(limits, "a", 5)
    assert not _take(limits, "b", 1).is_exceeded


def test_a_rate_of_one_s_own_wins() -> None:
    limits = RateLimits(1.0, clock=Clock())
    allowance = limits.take("a", rate=100.0)
    assert allowance is not None
    assert (allowance.remaining, allowance.burst) == (99, 100)


def test_no_limit_tells_of_none() -> None:
    limits = RateLimits(None)
    assert limits.take("a") is None
    assert limits.charge("a", 1_000_000) is None


def test_the_headers_are_those_of_the_draft() -> None:
    limits = RateLimits(10.0, clock=Clock())
    assert _take(limits, "a", 4).headers() == {
        "RateLimit-Policy": '"products";q=10;w=1',
        "RateLimit": '"products";r=6;t=1',
    }
    _take(limits, "a", 16)
    assert _take(limits, "a", 1).headers()["Retry-After"] == "2"


def test_those_seen_longest_ago_are_forgotten_first() -> None:
    limits = RateLimits(1.0, clock=Clock())
    _take(limits, "first", 5)
    _take(limits, "second", 5)
    for number in range(9_998):
        _take(limits, f"other-{number}", 1)
    assert _take(limits, "first", 1).is_exceeded  # and so it is seen again
    _take(limits, "one more", 1)
    assert _take(limits, "first", 1).is_exceeded
    assert not _take(limits, "second", 1).is_exceeded


@given(
    rate=st.floats(0.1, 1e6),
    requests=st.lists(st.tuples(st.floats(0, 100), st.integers(1, 1_000)), max_size=50),
)
def test_in_the_long_run_a_caller_gets_its_rate_a_burst_and_one_batch_at_most(
    rate: float, requests: list[tuple[float, int]]
) -> None:
    clock = Clock()
    limits = RateLimits(rate, clock=clock)
    passed = 0
    for wait, products in requests:
        clock.now += wait
        allowance = _take(limits, "a", products)
        passed += 0 if allowance.is_exceeded else products
    largest = max((products for _, products in requests), default=0)
    assert passed <= clock.now * rate * (1 + 1e-9) + rate + 1 + largest


@pytest.mark.parametrize(
    ("address", "caller"),
    [
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("/run/socket", "/run/socket"),
    ],
)
def test_an_address_stands_for_one_customer(address: str, caller: str) -> None:
    assert caller_of_address(address) == caller
