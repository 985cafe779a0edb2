"""The shape of a consumed record, so that pure code needs no Kafka client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeAlias

Header: TypeAlias = tuple[str, bytes | None]


class Record(Protocol):
    """A record as aiokafka's `ConsumerRecord` has it.

    Attributes:
        topic: where it was read.
        partition: of the topic.
        offset: in the partition.
        timestamp: milliseconds since 1970.
        timestamp_type: 0 if the producer set it, 1 if the broker did.
        key: as written, or None.
        value: as written; None is a tombstone.
        headers: in the order written; a name may occur more than once.
    """

    @property
    def topic(self) -> str: ...  # noqa: D102  # told above
    @property
    def partition(self) -> int: ...  # noqa: D102
    @property
    def offset(self) -> int: ...  # noqa: D102
    @property
    def timestamp(self) -> int: ...  # noqa: D102
    @property
    def timestamp_type(self) -> int: ...  # noqa: D102
    @property
    def key(self) -> bytes | None: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def headers(self) -> Sequence[Header]: ...  # noqa: D102


def place_of(record: Record) -> str:
    """Return where a record was read, `topic/partition/offset`."""
    return f"{record.topic}/{record.partition}/{record.offset}"


class Output(NamedTuple):
    """A record to be written because of another one.

    Attributes:
        record: the input it comes from; decides on the partition.
        key: of the output.
        value: of the output; None is a tombstone.
        headers: of the output.
        timestamp_ms: of the output, milliseconds since 1970.
    """

    record: Record
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header]
    timestamp_ms: int
