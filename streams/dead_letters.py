"""Dead letters: records that can never be categorized, kept byte for byte together with the reason.

A dead letter has the key, value, headers and timestamp of the original. After its own headers come Kafka
Connect's `__connect.errors.*`, the form that tools for dead letters know. A record that already carries such
headers, because somebody sent a dead letter through the input again, keeps them: the *last* header of a name is
about the last failure, and those before tell the history.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Final, NoReturn

from schemas.errors import StreamHaltedError
from streams.records import Header, Output, Record

PREFIX: Final = "__connect.errors."

#: The step of the work that failed, in the words that Kafka Connect has for it where it has one.
STAGE_DECODE: Final = "VALUE_CONVERTER"
STAGE_VALIDATE: Final = "VALIDATION"
STAGE_CLASSIFY: Final = "TRANSFORMATION"
STAGE_WRITE: Final = "TASK_PUT"

#: A header is read by people: a reason or stack trace beyond this is cut.
_MOST_BYTES: Final = 8_192


class DeadLetterOffice:
    """Makes dead letters in the name of one consumer group."""

    def __init__(self, *, group_id: str, task_id: str = "0") -> None:
        self._who: tuple[Header, ...] = (
            (PREFIX + "connector.name", group_id.encode()),
            (PREFIX + "task.id", task_id.encode()),
            (PREFIX + "class.name", b"streams.slices.SliceProcessor"),
        )

    def write(self, record: Record, *, stage: str, reason: str, error: BaseException | None = None) -> Output:
        """Return the dead letter of a record.

        Args:
            record: the original; not changed.
            stage: one of the STAGE_ constants.
            reason: what is wrong, in words its producer can act on.
            error: the exception behind it, if there was one: its class and stack trace are noted too.
        """
        name = type(error).__name__ if error is not None else "InvalidRecordError"
        headers: list[Header] = [
            *record.headers,
            (PREFIX + "topic", record.topic.encode()),
            (PREFIX + "partition", b"%d" % record.partition),
            (PREFIX + "offset", b"%d" % record.offset),
            *self._who,
            (PREFIX + "stage", stage.encode()),
            (PREFIX + "exception.class.name", name.encode()),
            (PREFIX + "exception.message", _cut(reason)),
        ]
        if error is not None and error.__traceback__ is not None:
            lines = "".join(traceback.format_exception(error))
            headers.append((PREFIX + "exception.stacktrace", _cut(lines)))
        return Output(record, record.key, record.value, headers, record.timestamp)


class Breaker:
    """Stops the stream when so many records in a row are dead letters that their producers, or we, are broken."""

    def __init__(self, most_in_a_row: int) -> None:
        self._most = most_in_a_row
        self._in_a_row = 0

    def note(self, n_records: int, dead: Sequence[int]) -> None:
        """Count a group of records, of which those at the positions `dead`, ascending, are dead letters.

        A good record ends the row. Raises StreamHaltedError when the row is too long: the group is then not to be
        written or acknowledged.
        """
        row, expected = self._in_a_row, 0
        for position in dead:
            row = row + 1 if position == expected else 1
            expected = position + 1
            if row > self._most:
                self._halt(row)
        if n_records:
            self._in_a_row = row if dead and expected == n_records else 0

    def _halt(self, row: int) -> NoReturn:
        raise StreamHaltedError(
            f"{row} records in a row were dead letters, and {self._most} are allowed: look at their "
            "__connect.errors headers, repair the producer or the model, and start again"
        )


def _cut(text: str) -> bytes:
    raw = text.encode("utf-8", "replace")
    return raw if len(raw) <= _MOST_BYTES else raw[:_MOST_BYTES].decode("utf-8", "ignore").encode()
