"""One record at one offset, or the sentence that says why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from sortline.offset_ranges import OffsetRange
from sortline.range_reader import RangeReader
from sortline.topic_reader import TopicRecord
from streams.offset_kind import kind_of_offset


class Place(NamedTuple):
    """Where a record is."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        """Return it as `ce_id` has it: topic/partition/offset."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str | None) -> Place | None:
        """Return the place that a `ce_id` names, or None if it names none.

        >>> Place.parse("products.created/2/40")
        Place(topic='products.created', partition=2, offset=40)
        """
        topic, _, rest = (text or "").partition("/")
        partition, _, offset = rest.partition("/")
        if not (topic and partition.isdecimal() and offset.isdecimal()):
            return None
        return cls(topic, int(partition), int(offset))


@dataclass(frozen=True, slots=True)
class Absent:
    """No record that readers of committed transactions see; `sentence` says why."""

    sentence: str


def find_record(bootstrap: str, place: Place) -> TopicRecord | Absent:
    """Return the record at a place as subscribers see it, or why there is none.

    Raises DependencyUnavailableError if Kafka does not answer, SetupError if there is no such topic or partition.
    """
    wanted = [OffsetRange(partition=place.partition, first=place.offset, last=place.offset)]
    with RangeReader(bootstrap, place.topic, wanted) as reader:
        for batch in reader.batches():
            return batch[0]
        first, stable_end = reader.bounds[place.partition]
    if place.offset < first:
        return Absent(f"{place} is gone: retention has deleted what was before offset {first}")
    with RangeReader(bootstrap, place.topic, wanted, committed=False) as reader:
        _, end = reader.bounds[place.partition]
        if place.offset >= end:
            return Absent(f"{place} is not there: the partition ends before offset {end}")
        if any(reader.batches()):
            return Absent(
                f"{place} is of a transaction that is still open: nobody may rely on it yet"
                if place.offset >= stable_end
                else f"{place} is of a transaction that was aborted: no reader with read_committed ever sees it"
            )
    kind = kind_of_offset(bootstrap, *place)
    if kind == "control":
        return Absent(f"{place} is no event but the mark that ends a transaction")
    if kind == "gap":
        return Absent(f"{place} was compacted away: a later record of the same product took its place")
    return Absent(f"{place} holds no event: it is the mark of a transaction, or was compacted away")
