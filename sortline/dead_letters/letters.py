"""One dead letter: what it says of its record, and what its record looks like when it is sent again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from sortline.topic_reader import TopicRecord
from streams.dialects import Dialect, Failure, read_failure, without_errors
from streams.records import Header

_REPLAY: Final = "sortline.replay."
#: How often the record was replayed, in decimal. A worker that dead-letters it again keeps the header.
ATTEMPTS_HEADER: Final = _REPLAY + "attempts"
#: The letter that was replayed, `topic/partition/offset`.
FROM_HEADER: Final = _REPLAY + "from"
#: When the record was produced first, in milliseconds since 1970, in decimal.
TIMESTAMP_HEADER: Final = _REPLAY + "timestamp"

Place: TypeAlias = tuple[int, int]  # partition and offset in the dead-letter topic
State: TypeAlias = Literal["waiting", "replayed", "spent", "foreign"]

#: What differs between two letters with the same fault: quoted text, and any word with a digit in it.
_QUOTED: Final = re.compile(r"""(?<!\w)b?'(?:[^'\\]|\\.)*'|(?<!\w)b?"(?:[^"\\]|\\.)*"|`[^`]*`|«[^»]*»""")
_NUMBERED: Final = re.compile(r"[^\s,;:()\[\]'\"=]*\d[^\s,;()\[\]'\"=]*?(?=[.:]*(?:[\s,;()\[\]'\"=]|$))")
#: Beyond this a reason is not looked at, and the rest does not tell groups apart.
_LONGEST_FOLDED: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A record of the dead-letter topic; `dialect` None if its headers say nothing of a failure."""

    record: TopicRecord
    dialect: Dialect | None
    failure: Failure

    @property
    def place(self) -> Place:
        """Where it is in the dead-letter topic."""
        return self.record.partition, self.record.offset

    @property
    def name(self) -> str:
        """Where it is, as `topic/partition/offset`."""
        return f"{self.record.topic}/{self.record.partition}/{self.record.offset}"

    @property
    def reason(self) -> str:
        """What is wrong with the record."""
        return self.failure.reason or self.failure.error or "no reason given"

    @property
    def attempts(self) -> int:
        """How often its record was replayed before it came back as this letter."""
        for name, value in reversed(self.record.headers):
            if name == ATTEMPTS_HEADER:
                return int(value) if value is not None and value.isdigit() and len(value) < 10 else 0
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What is noted of a letter when it is replayed; `original` is the place that its headers name."""

    original: str
    attempts: int
    at_ms: int


def read_letter(record: TopicRecord) -> Letter:
    """Return what the headers of a record of the dead-letter topic say, in whichever dialect."""
    found = read_failure(record.headers)
    dialect, failure = (None, Failure()) if found is None else found
    return Letter(record=record, dialect=dialect, failure=failure)


def state_of(letter: Letter, marks: Mapping[Place, Mark], *, created: str, max_attempts: int) -> State:
    """Return what became of a letter.

    `replayed` is what has a mark. The mark must name the same original: after the dead-letter topic was deleted
    and made anew, another letter may be in the same place. `spent` is what was replayed `max_attempts` times and
    came back each time, `foreign` what does not say that it comes from the topic `created`; the rest is `waiting`.
    """
    mark = marks.get(letter.place)
    if mark is not None and mark.original == letter.failure.place:
        return "replayed"
    if letter.failure.topic != created:
        return "foreign"
    return "spent" if letter.attempts >= max_attempts else "waiting"


def replayed_headers(letter: Letter) -> list[Header]:
    """Return the headers of the record when it is sent again.

    Those of the original in their order, without any that tell of errors: the history is in the dead letters,
    which stay where they are, and FROM_HEADER leads there. Then how often, from where, and the first timestamp.
    """
    kept = [header for header in without_errors(letter.record.headers) if not header[0].startswith(_REPLAY)]
    first = next((value for name, value in letter.record.headers if name == TIMESTAMP_HEADER), None)
    if first is None:
        timestamp_ms = letter.failure.timestamp_ms
        if timestamp_ms is None:
            timestamp_ms = letter.record.timestamp_ms
        first = None if timestamp_ms is None else b"%d" % timestamp_ms
    kept.append((ATTEMPTS_HEADER, b"%d" % (letter.attempts + 1)))
    kept.append((FROM_HEADER, letter.name.encode()))
    if first is not None:
        kept.append((TIMESTAMP_HEADER, first))
    return kept


def fold(reason: str) -> str:
    r"""Return the reason without what differs from letter to letter with the same fault.

    >>> fold("key is 'p-17', expected the product_id 'p-18'")
    'key is …, expected the product_id …'
    >>> fold("schema id 4711 is not in the registry: 3 bytes left over at 0x1f.")
    'schema id # is not in the registry: # bytes left over at #.'
    """
    return _NUMBERED.sub("#", _QUOTED.sub("…", " ".join(reason[:_LONGEST_FOLDED].split())))
