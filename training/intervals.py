"""How far a share that was counted may be from the share that it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Final

_Z: Final = 1.959964  # 95 %


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """`right` of `n`, with its 95 % Wilson interval; `value` is None where there is nothing to count.

    Wilson's interval (1927) stays within 0 and 1 and means something at a handful of products and at shares near
    1, where the usual plus or minus does not.

    >>> round(Share(n=20, right=20).low, 3)
    0.839
    """

    n: int
    right: int

    @property
    def value(self) -> float | None:
        """Return the share itself."""
        return self.right / self.n if self.n else None

    @property
    def low(self) -> float:
        """Return the lower end: 0 without products."""
        return max(0.0, self._middle() - self._half()) if self.n else 0.0

    @property
    def high(self) -> float:
        """Return the upper end: 1 without products."""
        return min(1.0, self._middle() + self._half()) if self.n else 1.0

    def to_json(self) -> dict[str, float | None]:
        """Return counts, share and interval as JSON."""
        return {"n": self.n, "right": self.right, "value": self.value, "low": self.low, "high": self.high}

    def _middle(self) -> float:
        return (self.right + _Z**2 / 2) / (self.n + _Z**2)

    def _half(self) -> float:
        share = self.right / self.n
        return _Z / (1 + _Z**2 / self.n) * sqrt(share * (1 - share) / self.n + _Z**2 / (4 * self.n**2))
