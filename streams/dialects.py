"""How the headers of a dead letter say what went wrong: three dialects, written and read here and nowhere else.

    connect   Kafka Connect, `__connect.errors.*`: everything as text
    streams   Kafka Streams since 4.2 (KIP-1034), `__streams.errors.*`: everything as text
    spring    Spring Kafka, `kafka_dlt-*`: partition as 4 bytes, offset and timestamp as 8, most significant first

Names and encodings are those of Kafka Connect's DeadLetterQueueReporter, Kafka Streams' ExceptionHandlerUtils and
Spring Kafka's DeadLetterRecordManager, so that tools for them read ours and we read theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from streams.records import Header

Dialect: TypeAlias = Literal["connect", "streams", "spring"]

DEFAULT_DIALECT: Final[Dialect] = "connect"

_CONNECT: Final = "__connect.errors."
_STREAMS: Final = "__streams.errors."
_SPRING: Final = "kafka_dlt-"
_PREFIXES: Final[Mapping[Dialect, str]] = {"connect": _CONNECT, "streams": _STREAMS, "spring": _SPRING}

#: `ConsumerRecord.timestampType` by number, as Java writes it.
_TIMESTAMP_TYPES: Final = {0: "CreateTime", 1: "LogAppendTime"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What is known of a record that failed; what a dialect has no header for is None when read.

    Attributes:
        topic: where the record was read.
        partition: of that topic.
        offset: in the partition.
        reason: what is wrong with it, for people.
        stage: the step of the work that failed (connect only).
        error: class of the exception.
        cause: class of the exception at the root of it (spring only).
        trace: stack trace, if there was an exception.
        group_id: consumer group that read it (connect: the connector's name; not in streams).
        task_id: of the worker (connect only).
        step: class that did the work (connect only).
        timestamp_ms: of the record, milliseconds since 1970 (spring only).
        timestamp_type: 0 if the producer set it, 1 if the broker did (spring only).
    """

    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    reason: str | None = None
    stage: str | None = None
    error: str | None = None
    cause: str | None = None
    trace: str | None = None
    group_id: str | None = None
    task_id: str | None = None
    step: str | None = None
    timestamp_ms: int | None = None
    timestamp_type: int | None = None

    @property
    def place(self) -> str:
        """Where the record was read, `topic/partition/offset`; `?` for what is not known."""
        return "/".join("?" if part is None else str(part) for part in (self.topic, self.partition, self.offset))


def error_headers(dialect: Dialect, failure: Failure) -> list[Header]:
    """Return the headers that tell of the failure, in the order in which the original of the dialect adds them."""
    return [(name, value) for name, value in _WRITERS[dialect](failure) if value is not None]


def read_failure(headers: Sequence[Header]) -> tuple[Dialect, Failure] | None:
    """Return what the headers of a dead letter say of its last failure, and the dialect; None if they say nothing.

    The dialect is that of the last error header. Of a name that occurs more than once, the last counts. A part
    that is missing or cannot be read is None.
    """
    for name, _ in reversed(headers):
        for dialect, prefix in _PREFIXES.items():
            if name.startswith(prefix):
                last = {key.removeprefix(prefix): value for key, value in headers if key.startswith(prefix)}
                return dialect, _READERS[dialect](last)
    return None


def without_errors(headers: Sequence[Header]) -> list[Header]:
    """Return the headers that are not of any dialect, in their order."""
    prefixes = tuple(_PREFIXES.values())
    return [header for header in headers if not header[0].startswith(prefixes)]


def _write_connect(failure: Failure) -> list[Header]:
    return [
        (_CONNECT + "topic", _utf8(failure.topic)),
        (_CONNECT + "partition", _decimal(failure.partition)),
        (_CONNECT + "offset", _decimal(failure.offset)),
        (_CONNECT + "connector.name", _utf8(failure.group_id)),
        (_CONNECT + "task.id", _utf8(failure.task_id)),
        (_CONNECT + "stage", _utf8(failure.stage)),
        (_CONNECT + "class.name", _utf8(failure.step)),
        (_CONNECT + "exception.class.name", _utf8(failure.error)),
        (_CONNECT + "exception.message", _utf8(failure.reason)),
        (_CONNECT + "exception.stacktrace", _utf8(failure.trace)),
    ]


def _read_connect(last: Mapping[str, bytes | None]) -> Failure:
    return Failure(
        topic=_text(last.get("topic")),
        partition=_number(last.get("partition")),
        offset=_number(last.get("offset")),
        reason=_text(last.get("exception.message")),
        stage=_text(last.get("stage")),
        error=_text(last.get("exception.class.name")),
        trace=_text(last.get("exception.stacktrace")),
        group_id=_text(last.get("connector.name")),
        task_id=_text(last.get("task.id")),
        step=_text(last.get("class.name")),
    )


def _write_streams(failure: Failure) -> list[Header]:
    return [
        (_STREAMS + "exception", _utf8(failure.error)),
        (_STREAMS + "message", _utf8(failure.reason)),
        # Kafka Streams always has an exception; readers may count on this header.
        (_STREAMS + "stacktrace", _utf8(failure.trace or "")),
        (_STREAMS + "topic", _utf8(failure.topic)),
        (_STREAMS + "partition", _decimal(failure.partition)),
        (_STREAMS + "offset", _decimal(failure.offset)),
    ]


def _read_streams(last: Mapping[str, bytes | None]) -> Failure:
    return Failure(
        topic=_text(last.get("topic")),
        partition=_number(last.get("partition")),
        offset=_number(last.get("offset")),
        reason=_text(last.get("message")),
        error=_text(last.get("exception")),
        trace=_text(last.get("stacktrace")) or None,
    )


def _write_spring(failure: Failure) -> list[Header]:
    kind = None if failure.timestamp_type is None else _TIMESTAMP_TYPES.get(failure.timestamp_type)
    return [
        (_SPRING + "exception-fqcn", _utf8(failure.error)),
        (_SPRING + "exception-cause-fqcn", _utf8(failure.cause or failure.error)),
        (_SPRING + "exception-message", _utf8(failure.reason)),
        (_SPRING + "exception-stacktrace", _utf8(failure.trace or "")),
        (_SPRING + "original-topic", _utf8(failure.topic)),
        (_SPRING + "original-partition", _big_endian(failure.partition, 4)),
        (_SPRING + "original-offset", _big_endian(failure.offset, 8)),
        (_SPRING + "original-timestamp", _big_endian(failure.timestamp_ms, 8)),
        (_SPRING + "original-timestamp-type", _utf8(kind)),
        (_SPRING + "original-consumer-group", _utf8(failure.group_id)),
    ]


def _read_spring(last: Mapping[str, bytes | None]) -> Failure:
    kind = _text(last.get("original-timestamp-type"))
    # Where the key was at fault, Spring tells of that alone.
    key = "key-" if "key-exception-fqcn" in last and "exception-fqcn" not in last else ""
    return Failure(
        topic=_text(last.get("original-topic")),
        partition=_integer(last.get("original-partition"), 4),
        offset=_integer(last.get("original-offset"), 8),
        reason=_text(last.get(f"{key}exception-message")),
        error=_text(last.get(f"{key}exception-fqcn")),
        cause=_text(last.get("exception-cause-fqcn")),
        trace=_text(last.get(f"{key}exception-stacktrace")) or None,
        group_id=_text(last.get("original-consumer-group")),
        timestamp_ms=_integer(last.get("original-timestamp"), 8),
        timestamp_type=next((number for number, name in _TIMESTAMP_TYPES.items() if name == kind), None),
    )


_WRITERS: Final[Mapping[Dialect, Callable[[Failure], list[Header]]]] = {
    "connect": _write_connect,
    "streams": _write_streams,
    "spring": _write_spring,
}
_READERS: Final[Mapping[Dialect, Callable[[Mapping[str, bytes | None]], Failure]]] = {
    "connect": _read_connect,
    "streams": _read_streams,
    "spring": _read_spring,
}


def _utf8(text: str | None) -> bytes | None:
    return None if text is None else text.encode("utf-8", "replace")


def _decimal(number: int | None) -> bytes | None:
    return None if number is None else b"%d" % number


def _big_endian(number: int | None, size: int) -> bytes | None:
    return None if number is None else number.to_bytes(size, "big", signed=True)


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode("utf-8", "replace")


def _number(raw: bytes | None) -> int | None:
    return int(raw) if raw is not None and raw.isdigit() and len(raw) < 20 else None


def _integer(raw: bytes | None, size: int) -> int | None:
    return int.from_bytes(raw, "big", signed=True) if raw is not None and len(raw) == size else None
