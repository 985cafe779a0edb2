"""Dead letters as people read them: groups as a table, one letter as lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from schemas.avro_files import load_schema
from schemas.columns import PRODUCT
from schemas.decoding import Decoder
from schemas.errors import DependencyUnavailableError
from schemas.printable import printable
from schemas.registry import SchemaRegistry
from sortline.console import Column, LineTable, output
from sortline.dead_letters.groups import Group
from sortline.dead_letters.letters import Letter, Mark, State

_STATES: Final[tuple[State, ...]] = ("waiting", "replayed", "spent", "foreign")
_COLUMNS: Final = (
    Column(name="letters", width=9, justify="right"),
    *(Column(name=state, width=9, justify="right") for state in _STATES),
    Column(name="first (UTC)", width=19),
    Column(name="last (UTC)", width=19),
)
_BYTES_IN_A_LINE: Final = 32
_MOST_HEX_BYTES: Final = 4_096


def show_groups(groups: Sequence[Group]) -> None:
    """Print the groups to stdout: the counts, and below them the reason and the places."""
    console = output()
    table = LineTable(_COLUMNS, console)
    for group in groups:
        counts = [f"{group.states.get(state, 0):,}" for state in _STATES]
        table.row(f"{group.n_letters:,}", *counts, time_text(group.first_ms), time_text(group.last_ms))
        stage = "" if group.stage == "-" else f"{group.stage}: "
        came_back = f"; replayed up to {group.most_attempts} times before" if group.most_attempts else ""
        console.print(printable(f"    {stage}{group.reason}"), soft_wrap=True)
        console.print(printable(f"    at {group.ranges}{came_back}"), soft_wrap=True)


def group_json(group: Group) -> str:
    """Return a group as one line of JSON."""
    fields: dict[str, object] = {
        "reason": group.reason,
        "stage": None if group.stage == "-" else group.stage,
        "letters": group.n_letters,
        **{str(state): group.states.get(state, 0) for state in _STATES},
        "most_attempts": group.most_attempts,
        "first": _iso(group.first_ms),
        "last": _iso(group.last_ms),
        "offsets": {str(partition): list(ends) for partition, ends in sorted(group.offsets.items())},
    }
    return json.dumps(fields, ensure_ascii=False)


def letter_lines(letter: Letter, mark: Mark | None, registry: SchemaRegistry) -> Iterator[str]:
    """Yield a letter, line by line: what is wrong, where it was, key, headers, value."""
    record, failure = letter.record, letter.failure
    yield f"letter     {letter.name}"
    yield f"reason     {letter.reason}"
    if failure.stage is not None:
        yield f"stage      {failure.stage}"
    if failure.error is not None:
        yield f"error      {failure.error}"
    yield f"dialect    {letter.dialect or 'none: its headers say nothing of a failure'}"
    yield f"came from  {failure.place}"
    yield f"time       {time_text(record.timestamp_ms)} UTC"
    yield f"attempts   {letter.attempts}"
    if mark is not None and mark.original == failure.place:
        yield f"replayed   {time_text(mark.at_ms)} UTC"
    yield f"key        {bytes_text(record.key)}"
    yield "headers"
    for name, value in record.headers:
        if name.endswith("stacktrace"):
            continue  # at the end, on lines of its own
        yield f"  {name} = {bytes_text(value)}"
    yield from _value_lines(record.value, registry)
    if failure.trace:
        yield "stack trace"
        for line in failure.trace.splitlines():
            yield f"  {line}"


def bytes_text(raw: bytes | None) -> str:
    """Return bytes as text if they are readable text, otherwise in hex; `null` for none at all.

    >>> bytes_text(b"p-1"), bytes_text(bytes([0, 255])), bytes_text(None)
    ('p-1', '0x00ff', 'null')
    """
    if raw is None:
        return "null"
    text = _readable(raw)
    return text if text is not None else f"0x{raw[:_MOST_HEX_BYTES].hex()}"


def time_text(milliseconds: int | None) -> str:
    """Return a time to the second, in UTC; `-` for none.

    >>> time_text(1_700_000_000_023)
    '2023-11-14 22:13:20'
    """
    if milliseconds is None:
        return "-"
    try:
        return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError, OSError):
        return f"{milliseconds} ms"  # a producer may set any number


def _iso(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else time_text(milliseconds).replace(" ", "T") + "Z"


def _value_lines(value: bytes | None, registry: SchemaRegistry) -> Iterator[str]:
    if value is None:
        yield "value      null: a tombstone"
        return
    product, problem = _decoded(value, registry)
    if product is not None:
        yield f"value      {len(value):,} bytes, a product"
        for name, field in product.items():
            yield f"  {name} = {field}"
        return
    yield f"value      {len(value):,} bytes, not decoded: {problem}"
    text = _readable(value)
    if text is not None:
        for line in text.splitlines():
            yield f"  {line}"
        return
    for start in range(0, min(len(value), _MOST_HEX_BYTES), _BYTES_IN_A_LINE):
        yield f"  {start:06x}  {value[start : start + _BYTES_IN_A_LINE].hex(' ')}"
    if len(value) > _MOST_HEX_BYTES:
        yield f"  and {len(value) - _MOST_HEX_BYTES:,} bytes more"


def _decoded(value: bytes, registry: SchemaRegistry) -> tuple[dict[str, Any] | None, str]:
    try:
        decoded = Decoder(registry, load_schema("product_created"), PRODUCT).decode([value])
    except DependencyUnavailableError as error:
        return None, str(error)
    if decoded.rejected:
        return None, decoded.rejected[0].reason
    product: dict[str, Any] = decoded.batch.to_pylist()[0]
    return product, ""


def _readable(raw: bytes) -> str | None:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return None
    return text if all(one.isprintable() or one in "\n\r\t" for one in text) else None
