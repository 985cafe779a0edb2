"""Stops the stream when so much is dead-lettered that not the records are broken but their producer, or we are."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NoReturn

from schemas.errors import StreamHaltedError
from streams.dialects import read_failure
from streams.records import Output


class Breaker:
    """Watches the records of one worker, in the order in which it handles them.

    It breaks at the first dead letter that makes the row of them longer than `most_in_a_row`, or that makes them
    more than `most_share` of the last `window` records. The share is not looked at before `minimum` records were
    seen: of three records one may well be broken. A share of 1 is never exceeded.
    """

    def __init__(
        self, *, most_in_a_row: int, most_share: float = 1.0, window: int = 10_000, minimum: int = 1_000
    ) -> None:
        self._most_in_a_row = most_in_a_row
        self._most_share = most_share
        self._window = window
        self._minimum = minimum
        self._n_seen = 0
        self._in_a_row = 0
        #: Which of the last `window` records were dead letters, counted from the first that was ever seen.
        self._dead: deque[int] = deque()

    def note(self, n_records: int, dead: Sequence[int], letters: Sequence[Output] = ()) -> None:
        """Count a group of records, of which those at the positions `dead`, ascending, are dead letters.

        `letters` are those dead letters, in the same order; the error tells of the last. Raises StreamHaltedError
        when there are too many: then nothing of the group is to be written or acknowledged.
        """
        expected = 0
        for nth, position in enumerate(dead):
            self._in_a_row = self._in_a_row + 1 if position == expected else 1
            expected = position + 1
            last = letters[nth] if nth < len(letters) else None
            if self._in_a_row > self._most_in_a_row:
                _halt(f"{self._in_a_row} records in a row were dead letters, and {self._most_in_a_row}", last)
            self._look_back(self._n_seen + position, last)
        if n_records and expected != n_records:
            self._in_a_row = 0
        self._n_seen += n_records

    def _look_back(self, at: int, letter: Output | None) -> None:
        dead = self._dead
        dead.append(at)
        while dead[0] <= at - self._window:
            dead.popleft()
        n_seen = min(at + 1, self._window)
        if n_seen >= self._minimum and len(dead) > self._most_share * n_seen:
            _halt(
                f"{len(dead)} of the last {n_seen} records were dead letters, and {self._most_share:.0%}", letter
            )


def _halt(what: str, letter: Output | None) -> NoReturn:
    example = ""
    found = read_failure(letter.headers) if letter is not None else None
    if found is not None:
        _, failure = found
        example = f"; the last was {failure.place}: {failure.reason}"
    raise StreamHaltedError(
        f"{what} are allowed{example}; nothing is committed from that group of records on: repair "
        "the producer or the model, or raise the limit if all may become dead letters, and start again"
    )
