"""Which dead letters are meant: by reason, time and place, as people write them on a command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from schemas.errors import SetupError
from sortline.dead_letters.letters import Letter, Place, fold
from sortline.offset_ranges import OffsetRange, parse_range

_AGO: Final = re.compile(r"(\d{1,6})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a letter must be like; None and () ask nothing. Times are in ms since 1970, `until_ms` is excluded."""

    reason: re.Pattern[str] | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    ranges: tuple[OffsetRange, ...] = ()

    def has(self, letter: Letter) -> bool:
        """Say whether the letter is meant."""
        partition, offset = letter.place
        if self.ranges and not any(
            one.partition == partition and one.first <= offset <= one.last for one in self.ranges
        ):
            return False
        timestamp_ms = letter.record.timestamp_ms or 0
        if self.since_ms is not None and timestamp_ms < self.since_ms:
            return False
        if self.until_ms is not None and timestamp_ms >= self.until_ms:
            return False
        reason = self.reason
        return reason is None or any(reason.search(text) for text in (letter.reason, fold(letter.reason)))


def parse_selection(
    *, reason: str | None, since: str | None, until: str | None, offsets: Sequence[str], now_ms: int
) -> Selection:
    """Return the selection that the options ask for. Raises SetupError that names the option at fault."""
    return Selection(
        reason=None if reason is None else _pattern(reason),
        since_ms=None if since is None else _time_ms("--since", since, now_ms),
        until_ms=None if until is None else _time_ms("--until", until, now_ms),
        ranges=tuple(parse_range(text) for text in offsets),
    )


def parse_place(text: str) -> Place:
    """Return partition and offset of `PARTITION:OFFSET`. Raises SetupError if it is something else."""
    partition, colon, offset = text.strip().partition(":")
    if not (colon and partition.isdecimal() and offset.isdecimal() and len(partition) < 10 and len(offset) < 19):
        raise SetupError(f"{text!r} is not PARTITION:OFFSET, such as 0:120")
    return int(partition), int(offset)


def _pattern(text: str) -> re.Pattern[str]:
    """Return a search for the text, in whichever case; `*` stands for anything, as do `…` and `#` of a list."""
    parts = [re.escape(part) for part in text.split("*")]
    return re.compile(".*".join(parts), re.IGNORECASE | re.DOTALL)


def _time_ms(option: str, text: str, now_ms: int) -> int:
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return now_ms - int(ago[1]) * _SECONDS[ago[2]] * 1000
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise SetupError(
            f"option {option}: {text!r} is neither a time, such as 2026-01-31T08:00 (UTC), nor an age, such as 90m"
        ) from error
    return int((time if time.tzinfo is not None else time.replace(tzinfo=UTC)).timestamp() * 1000)
