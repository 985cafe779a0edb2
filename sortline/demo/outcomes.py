"""Accounts for what came back: each event that went in must have ended in exactly one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.topics import TopicNames
from sortline.topic_rows import TopicRow

#: Output records carry the place of their input: `<topic>/<partition>/<offset>`.
EVENT_ID_HEADER = "ce_id"


@dataclass(slots=True)
class Outcomes:
    """What was seen at the three outputs so far, by the place of the input record.

    Attributes:
        categorized: what was published, in order of arrival.
        review: what a person has to decide.
        dead_letters: unusable records, with their reasons.
        withdrawn: tombstones passed on.
        repeated: records seen for an input that had one already (at least once allows it).
    """

    names: TopicNames
    categorized: list[TopicRow] = field(default_factory=list)
    review: list[TopicRow] = field(default_factory=list)
    dead_letters: list[TopicRow] = field(default_factory=list)
    withdrawn: list[TopicRow] = field(default_factory=list)
    repeated: int = 0
    _places: set[str] = field(default_factory=set)

    def add(self, row: TopicRow) -> bool:
        """Account for a row of one of the output topics; false if its input was accounted for before."""
        place = self._place(row)
        if place in self._places:
            self.repeated += 1
            return False
        self._places.add(place)
        if row.record.topic == self.names.dead_letters:
            self.dead_letters.append(row)
        elif row.record.topic == self.names.review:
            self.review.append(row)
        elif row.value is None:
            self.withdrawn.append(row)
        else:
            self.categorized.append(row)
        return True

    @property
    def total(self) -> int:
        """How many inputs are accounted for."""
        return len(self._places)

    def _place(self, row: TopicRow) -> str:
        if row.record.topic == self.names.dead_letters:
            return row.came_from
        return row.header(EVENT_ID_HEADER) or f"{row.record.topic}/{row.record.partition}/{row.record.offset}?"


def is_right(value: Mapping[str, Any], label: tuple[str, ...]) -> bool:
    """Say whether a published category is true of a product: it is the label, or an ancestor of it.

    >>> is_right({"category_path": ["Core"]}, ("Core", "memory"))
    True
    >>> is_right({"category_path": ["Core", "cpu"]}, ("Core", "memory"))
    False
    """
    path = tuple(value["category_path"])
    return bool(path) and path == label[: len(path)]
