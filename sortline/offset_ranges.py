"""Offsets as people and files name them: `0:100-200,1:0-`, or the JSON of a lineage."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from schemas.errors import SetupError

LAST_OFFSET: Final = 2**63 - 1
_RANGE: Final = re.compile(r"(\d{1,9})(?::(\d{1,18})(-(\d{1,18})?)?)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class OffsetRange:
    """Offsets of one partition, both ends included."""

    partition: int
    first: int
    last: int


def parse_range(text: str, *, option: str = "--offsets") -> OffsetRange:
    """Return the offsets that a text means: `3:10-20`, `3:10-` (to the end), `3:10` or `3` (the partition).

    Raises SetupError that names the option if it means none.

    >>> parse_range("3:10-20")
    OffsetRange(partition=3, first=10, last=20)
    >>> parse_range("3:10")
    OffsetRange(partition=3, first=10, last=10)
    """
    found = _RANGE.fullmatch(text.strip())
    if found is None:
        raise SetupError(f"option {option}: {text!r} is not PARTITION:FROM-TO, such as 0:120-180")
    partition, first, dash, last = found.groups()
    if first is None:
        return OffsetRange(partition=int(partition), first=0, last=LAST_OFFSET)
    end = int(last) if last is not None else LAST_OFFSET if dash else int(first)
    if end < int(first):
        raise SetupError(f"option {option}: {text!r} ends before it begins")
    return OffsetRange(partition=int(partition), first=int(first), last=end)


def parse_offsets(text: str, *, option: str, topic: str) -> tuple[OffsetRange, ...]:
    """Return the ranges of a text, several of them with commas between, or of a JSON file that it names.

    The file holds the `offsets` of a lineage, `{topic: {partition: [first, last]}}`, by themselves or inside of a
    lineage or a bundle's manifest. Raises SetupError if the text means neither, or the file is of another topic.
    """
    if Path(text).is_file() or text.lower().endswith(".json"):
        return tuple(_of_file(Path(text), option=option, topic=topic))
    return tuple(parse_range(part, option=option) for part in text.split(","))


def limited(ranges: Sequence[OffsetRange] | None, limits: Sequence[OffsetRange]) -> tuple[OffsetRange, ...]:
    """Return the ranges up to the last offset that the limits name for each partition.

    A partition without a limit is not cut; None are whole partitions, and then only those with a limit are meant.

    >>> limited([OffsetRange(partition=0, first=5, last=90)], [OffsetRange(partition=0, first=20, last=20)])
    (OffsetRange(partition=0, first=5, last=20),)
    """
    last: dict[int, int] = {}
    for one in limits:
        last[one.partition] = max(one.last, last.get(one.partition, 0))
    if ranges is None:
        return tuple(OffsetRange(partition=number, first=0, last=end) for number, end in sorted(last.items()))
    cut = (replace(one, last=min(one.last, last.get(one.partition, LAST_OFFSET))) for one in ranges)
    return tuple(one for one in cut if one.first <= one.last)


def ranges_text(ranges: Sequence[OffsetRange]) -> str:
    """Return the ranges as `parse_offsets` takes them.

    >>> ranges_text([parse_range("1"), parse_range("2:3-4")])
    '1:0-,2:3-4'
    """
    return ",".join(f"{one.partition}:{one.first}-{'' if one.last == LAST_OFFSET else one.last}" for one in ranges)


def _of_file(file: Path, *, option: str, topic: str) -> Iterator[OffsetRange]:
    try:
        document: Any = json.loads(file.read_bytes())
    except OSError as error:
        raise SetupError(f"option {option}: {file} cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise SetupError(f"option {option}: {file} is not JSON ({error})") from error
    for key in ("lineage", "offsets"):
        if isinstance(document, dict) and key in document:
            document = document[key]
    shape = f"option {option}: {file} must hold offsets as a lineage does, {{topic: {{partition: [first, last]}}}}"
    if not isinstance(document, dict) or not document:
        raise SetupError(shape)
    if topic not in document:
        raise SetupError(f"option {option}: {file} has offsets of {', '.join(map(str, document))}, not of {topic}")
    partitions: Any = document[topic]
    if not isinstance(partitions, dict):
        raise SetupError(shape)
    for partition, ends in partitions.items():
        is_pair = isinstance(ends, list) and len(ends) == 2 and all(type(end) is int and end >= 0 for end in ends)
        if not is_pair or not str(partition).isdecimal():
            raise SetupError(shape)
        yield parse_range(f"{partition}:{ends[0]}-{ends[1]}", option=option)
