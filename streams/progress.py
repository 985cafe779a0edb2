"""Whether a worker gets on with its work: assigned, and each partition caught up or advancing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from streams.offsets import Partition


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a partition stands.

    Attributes:
        done: offset up to which everything is finished; None before anything is.
        end: offset up to which there is something to read; None until the broker said so.
        answered_at: when the broker last answered a fetch, in seconds of the watch's clock; None if never.
    """

    done: int | None
    end: int | None
    answered_at: float | None

    @property
    def lag(self) -> int | None:
        """Offsets still to be finished; None if that is not known yet."""
        if self.end is None:
            return None
        return max(0, self.end - (self.done or 0))


@dataclass(slots=True)
class _Seen:
    done: int | None
    moved_at: float


class ProgressWatch:
    """Remembers when each partition last moved or was caught up.

    Look at it regularly: a partition that was caught up for an hour is not stuck a second after new records came.
    All times are seconds of one clock, which the caller reads.
    """

    def __init__(self, *, stuck_after_seconds: float) -> None:
        self._patience = stuck_after_seconds
        self._seen: dict[Partition, _Seen] = {}

    def look(self, standings: Mapping[Partition, Standing], now: float) -> list[str]:
        """Return why the worker is not ready, one sentence for each reason; nothing if it is."""
        self._seen = {partition: seen for partition, seen in self._seen.items() if partition in standings}
        if not standings:
            return ["no partition is assigned to this worker"]
        problems: list[str] = []
        for partition, standing in sorted(standings.items()):
            seen = self._seen.setdefault(partition, _Seen(standing.done, now))
            if standing.done != seen.done or standing.lag == 0:
                seen.done, seen.moved_at = standing.done, now
            name = f"{partition[0]}/{partition[1]}"
            if now - seen.moved_at > self._patience:
                problems.append(
                    f"{name} has not moved for {now - seen.moved_at:.0f} s, "
                    + (
                        "and its end is not known"
                        if standing.lag is None
                        else f"with {standing.lag} records to do"
                    )
                )
                continue
            # With work to do nothing is fetched while the buffers are full; then only the moving counts.
            answered_at = standing.answered_at if standing.lag == 0 else None
            if answered_at is not None and now - answered_at > self._patience:
                problems.append(f"the broker has not answered for {name} in {now - answered_at:.0f} s")
        return problems
