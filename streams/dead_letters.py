"""Dead letters: records that can never be categorized, kept byte for byte together with the reason.

A dead letter has the key, value, headers and timestamp of the original. After its own headers come those that say
what is wrong, in the dialect that is set (`dialects`). A record that already carries such headers, because
somebody sent a dead letter through the input again, keeps them: the *last* header of a name is about the last
failure, and those before tell the history.
"""

from __future__ import annotations

import traceback
from typing import Final

from streams.dialects import DEFAULT_DIALECT, Dialect, Failure, error_headers
from streams.records import Output, Record

#: The step of the work that failed, in the words that Kafka Connect has for it where it has one.
STAGE_DECODE: Final = "VALUE_CONVERTER"
STAGE_VALIDATE: Final = "VALIDATION"
STAGE_CLASSIFY: Final = "TRANSFORMATION"
STAGE_WRITE: Final = "TASK_PUT"

#: A header is read by people: a reason or stack trace beyond this is cut.
_MOST_BYTES: Final = 8_192


class DeadLetterOffice:
    """Makes dead letters in the name of one consumer group."""

    def __init__(self, *, group_id: str, task_id: str = "0", dialect: Dialect = DEFAULT_DIALECT) -> None:
        self._group_id = group_id
        self._task_id = task_id
        self._dialect = dialect

    def write(self, record: Record, *, stage: str, reason: str, error: BaseException | None = None) -> Output:
        """Return the dead letter of a record.

        Args:
            record: the original; not changed.
            stage: one of the STAGE_ constants.
            reason: what is wrong, in words its producer can act on.
            error: the exception behind it, if there was one: its class and stack trace are noted too.
        """
        has_trace = error is not None and error.__traceback__ is not None
        failure = Failure(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=_cut(reason),
            stage=stage,
            error=type(error).__name__ if error is not None else "InvalidRecordError",
            cause=None if error is None else type(_root(error)).__name__,
            trace=_cut("".join(traceback.format_exception(error))) if has_trace else None,
            group_id=self._group_id,
            task_id=self._task_id,
            step="streams.slices.SliceProcessor",
            timestamp_ms=record.timestamp,
            timestamp_type=record.timestamp_type,
        )
        headers = [*record.headers, *error_headers(self._dialect, failure)]
        return Output(record, record.key, record.value, headers, record.timestamp)


def _root(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _cut(text: str) -> str:
    raw = text.encode("utf-8", "replace")
    return (raw if len(raw) <= _MOST_BYTES else raw[:_MOST_BYTES]).decode("utf-8", "ignore")
