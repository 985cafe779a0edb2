"""Says in the log that records are dead-lettered: at once the first time, then in sums."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from streams.dialects import read_failure
from streams.records import Output, place_of

log = logging.getLogger("streams.dead_letters")

#: How often at most a line is written. How many there are at any moment is a metric.
EVERY_SECONDS: Final = 10.0


class DeadLetterLog:
    """Writes a line about the dead letters since the last line, with the latest of them as the example.

    What came after the last line is told with the next dead letter, if there is one.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next_at = clock()
        self._n_untold = 0

    def note(self, letters: Sequence[Output]) -> None:
        """Take dead letters down; nothing happens if there are none."""
        self._n_untold += len(letters)
        now = self._clock()
        if not letters or now < self._next_at:
            return
        found = read_failure(letters[-1].headers)
        log.warning(
            "records dead-lettered",
            extra={
                "n_records": self._n_untold,
                "latest": place_of(letters[-1].record),
                "reason": ((found[1].reason if found is not None else None) or "")[:500],
            },
        )
        self._n_untold = 0
        self._next_at = now + EVERY_SECONDS
