"""From runs to figures: medians with ranges, ratios within a round, percentiles, comparison with older figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from benchmarks.harness.backlog import Measured
from benchmarks.harness.ways import way

FLOOR: Final = "floor"
PLAIN: Final = "plain"
#: In thousandths: whole numbers, so that the rank is exact.
_SHARES: Final = {"p50": 500, "p99": 990, "p99.9": 999}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The median of some repetitions, and the lowest and highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Return the spread of at least one value.

        >>> Spread.of([3.0, 1.0, 2.0])
        Spread(median=2.0, low=1.0, high=3.0)
        """
        array = np.array(list(values))
        return cls(median=float(np.median(array)), low=float(array.min()), high=float(array.max()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """All runs of one way.

    Attributes:
        cpu_to_floor: CPU an event, as a multiple of the floor's in the same round; None without a floor.
        plain_to_cpu: the plain loop's CPU an event in the same round, as a multiple of this way's; or None.
    """

    way: str
    runs: tuple[Measured, ...]
    cpu_us: Spread
    events_per_second: Spread
    start_seconds: Spread
    cpu_to_floor: Spread | None
    plain_to_cpu: Spread | None


def summaries(rounds: Sequence[Mapping[str, Measured]]) -> list[Summary]:
    """Sum up rounds, each with a run of every way. Ratios are of the same round, which all share."""
    return [
        Summary(
            way=name,
            runs=tuple(one[name] for one in rounds),
            cpu_us=Spread.of(one[name].cpu_us for one in rounds),
            events_per_second=Spread.of(one[name].events_per_second for one in rounds),
            start_seconds=Spread.of(one[name].start_seconds for one in rounds),
            cpu_to_floor=Spread.of(one[name].cpu_us / one[FLOOR].cpu_us for one in rounds)
            if FLOOR in rounds[0]
            else None,
            plain_to_cpu=Spread.of(one[PLAIN].cpu_us / one[name].cpu_us for one in rounds)
            if PLAIN in rounds[0]
            else None,
        )
        for name in rounds[0]
    ]


def regressions(new: Mapping[str, Any], committed: Mapping[str, Any], margin: float) -> list[str]:
    """Return a sentence for each ratio of the worker that is worse than the committed one by more than `margin`.

    Both are reports as `report.throughput_report` makes them. The best repetition of the new run is compared with
    the committed median: a busy machine must not look like a slow program.
    """
    older = {one["way"]: one for one in committed["ways"]}
    found: list[str] = []
    for one in new["ways"]:
        if way(one["way"]).kind != "worker" or one["way"] not in older:
            continue
        then = older[one["way"]]
        if one["cpu_to_floor"] and then["cpu_to_floor"]:
            now, limit = one["cpu_to_floor"]["low"], then["cpu_to_floor"]["median"] * margin
            if now > limit:
                found.append(f"{one['way']}: {now:.2f} times the floor's CPU, more than {limit:.2f}")
        if one["plain_to_cpu"] and then["plain_to_cpu"]:
            now, limit = one["plain_to_cpu"]["high"], then["plain_to_cpu"]["median"] / margin
            if now < limit:
                found.append(
                    f"{one['way']}: the plain loop takes {now:.2f} times as much CPU, less than {limit:.2f}"
                )
    return found


def percentiles(milliseconds: npt.NDArray[np.float64]) -> dict[str, float]:
    """Return p50, p99, p99.9 and the largest; each is a time that was measured, none is interpolated.

    >>> percentiles(np.arange(1.0, 1001.0))
    {'p50': 500.0, 'p99': 990.0, 'p99.9': 999.0, 'max': 1000.0}
    """
    ordered = np.sort(milliseconds)
    found = {name: float(ordered[-(-share * len(ordered) // 1_000) - 1]) for name, share in _SHARES.items()}
    return {**found, "max": float(ordered[-1])}
