"""Where a training set came from: what a model's manifest says so that its data can be told again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict, cast


class LineageJson(TypedDict):
    """A lineage as it stands in Parquet metadata and in a bundle's manifest."""

    offsets: dict[str, dict[str, list[int]]]
    schema_ids: list[int]
    rows: int
    removed: int
    rejected: int
    content_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """What was read of a topic, and what it came to.

    Attributes:
        topic: the topic read.
        offsets: per partition the first and the last offset read, both inclusive; an empty partition is absent.
            Offsets of a compacted topic do not give the same rows for ever: `content_digest` says what was there.
        schema_ids: ids of the writer schemas met in the rows that were kept.
        rows: products kept.
        removed: products whose last record is a tombstone that compaction has left so far.
        rejected: products whose last record cannot be used.
        content_digest: `training.catalog.content_digest` of the rows.
    """

    topic: str
    offsets: Mapping[int, tuple[int, int]]
    schema_ids: frozenset[int]
    rows: int
    removed: int
    rejected: int
    content_digest: str

    def to_json(self) -> LineageJson:
        """Return it as plain JSON values: `offsets` is {topic: {partition: [first, last]}}."""
        return LineageJson(
            offsets={
                self.topic: {str(partition): [*self.offsets[partition]] for partition in sorted(self.offsets)}
            },
            schema_ids=sorted(self.schema_ids),
            rows=self.rows,
            removed=self.removed,
            rejected=self.rejected,
            content_digest=self.content_digest,
        )

    @classmethod
    def found_in(cls, lineage: Mapping[str, object]) -> Lineage | None:
        """Read it from what a manifest says; None if that tells of no topic."""
        if not isinstance(lineage.get("offsets"), Mapping):
            return None
        return cls.from_json(cast("LineageJson", lineage))

    @classmethod
    def from_json(cls, value: LineageJson) -> Lineage:
        """Read what `to_json` gave."""
        ((topic, offsets),) = value["offsets"].items()
        return cls(
            topic=topic,
            offsets={int(partition): (first, last) for partition, (first, last) in offsets.items()},
            schema_ids=frozenset(value["schema_ids"]),
            rows=value["rows"],
            removed=value["removed"],
            rejected=value["rejected"],
            content_digest=value["content_digest"],
        )
