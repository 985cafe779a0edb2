"""How many products a caller may send a second: a token bucket each, counted in products rather than requests."""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

#: A bucket holds so many seconds' worth of products: what may come at once after a pause.
BURST_SECONDS: Final = 1.0
#: So many callers are remembered; beyond it those seen longest ago begin anew, with a full bucket.
_MOST_CALLERS: Final = 10_000
_IPV6_PREFIX: Final = 64
_ROUNDING: Final = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What a caller has left.

    Attributes:
        rate: products a second.
        burst: products that a full bucket holds.
        remaining: products that it holds now, at least 0.
        retry_seconds: whole seconds after which a refused request may pass; 0 if it was not refused.
    """

    rate: float
    burst: int
    remaining: int
    retry_seconds: int

    @property
    def is_exceeded(self) -> bool:
        """Whether the request is to be refused."""
        return self.retry_seconds > 0

    def headers(self) -> dict[str, str]:
        """Return `RateLimit` and `RateLimit-Policy` of the IETF's draft, and `Retry-After` on a refusal."""
        full_in = math.ceil((self.burst - self.remaining) / self.rate)
        window = max(1, round(self.burst / self.rate))
        headers = {
            "RateLimit-Policy": f'"products";q={self.burst};w={window}',
            "RateLimit": f'"products";r={self.remaining};t={full_in}',
        }
        return {**headers, "Retry-After": str(self.retry_seconds)} if self.is_exceeded else headers


class RateLimits:
    """A bucket a caller; for one thread.

    A request passes if the bucket holds at least one product. What it has beyond the first is charged once it is
    known, and may take the bucket below empty: the debt is waited off. So a batch of any size passes sooner or
    later, and in the long run a caller gets its rate and no more.
    """

    def __init__(self, rate: float | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the products a second for callers without a rate of their own; None for no limit."""
        self._rate = rate
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, caller: str, *, rate: float | None = None) -> Allowance | None:
        """Take one product out of a caller's bucket unless it is empty; None where there is no limit.

        `rate` wins over the one for all.
        """
        bucket = self._bucket(caller, self._rate if rate is None else rate)
        if bucket is None:
            return None
        missing = 1 - bucket.level
        # Rounding must not refuse who waited exactly as long as told.
        if missing > _ROUNDING:
            return bucket.allowance(retry_seconds=max(1, math.ceil(missing / bucket.rate)))
        bucket.level -= 1
        return bucket.allowance()

    def charge(self, caller: str, products: int, *, rate: float | None = None) -> Allowance | None:
        """Take products for a request that has passed, below empty if need be; None where there is no limit."""
        bucket = self._bucket(caller, self._rate if rate is None else rate)
        if bucket is None:
            return None
        bucket.level -= products
        return bucket.allowance()

    def _bucket(self, caller: str, rate: float | None) -> _Bucket | None:
        if rate is None:
            return None
        now = self._clock()
        bucket = self._buckets.get(caller)
        if bucket is None:
            bucket = self._buckets[caller] = _Bucket(rate, now)
            if len(self._buckets) > _MOST_CALLERS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(caller)
        bucket.fill(rate, now)
        return bucket


class _Bucket:
    """What one caller has: full at first, and filling at its rate."""

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self.level: float = self._burst
        self._at = now

    def fill(self, rate: float, now: float) -> None:
        self.rate = rate
        self.level = min(self._burst, self.level + (now - self._at) * rate)
        self._at = now

    def allowance(self, *, retry_seconds: int = 0) -> Allowance:
        remaining = max(0, math.floor(self.level + _ROUNDING))
        return Allowance(rate=self.rate, burst=self._burst, remaining=remaining, retry_seconds=retry_seconds)

    @property
    def _burst(self) -> int:
        return max(1, math.ceil(self.rate * BURST_SECONDS))


def caller_of_address(address: str | None) -> str:
    """Return what stands for a client without a key: its address, or of IPv6 the network that one customer has.

    >>> caller_of_address("192.0.2.7"), caller_of_address("2001:db8:1:2:3:4:5:6"), caller_of_address(None)
    ('192.0.2.7', '2001:db8:1:2::/64', 'unknown')
    """
    if address is None:
        return "unknown"
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _IPV6_PREFIX), strict=False))
