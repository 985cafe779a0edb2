"""Decides when aiokafka's consumer may ask for more.

aiokafka fetches again as soon as everything that it had is taken. Under light load that is the wrong moment: the
answer holds the few records of the next millisecond, then nothing is fetched until these are taken, and whatever
comes meanwhile waits for the fetch after that. Asked just when the stream wants records, the broker gives all that
there are by then.
"""

from __future__ import annotations

from typing import Any


class FetchGate:
    """Holds back an aiokafka fetcher's requests for records while it is shut. Use it in the fetcher's event loop.

    Looking up positions goes on, and a request that is under way is not touched. Open at first.
    """

    def __init__(self, fetcher: Any) -> None:
        self._fetcher = fetcher
        self._plan = fetcher._get_actions_per_node
        self._is_shut = False
        fetcher._get_actions_per_node = self._planned

    def shut(self) -> None:
        """Let no further request leave."""
        self._is_shut = True

    def open(self) -> None:
        """Let the fetcher ask for what it lacks, at once."""
        if self._is_shut:
            self._is_shut = False
            self._fetcher._notify(self._fetcher._wait_consume_future)

    def _planned(self, assignment: Any) -> tuple[Any, ...]:
        requests, *others = self._plan(assignment)
        return ([] if self._is_shut else requests), *others
