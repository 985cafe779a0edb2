"""Whether to retrain: decided first on the offsets of the catalogue topic, then on the labels that changed.

Pure rules; who asks Kafka and MLflow is `training.retraining`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from training.lineage import Lineage
from training.row_digests import LabelChanges

Bounds = Mapping[int, tuple[int, int]]
"""Per partition the first offset and the offset after the last record."""


class Action(StrEnum):
    """What to do next."""

    NOTHING = "nothing to do"
    COUNT = "count the labels"
    JUDGE = "promote"
    TRAIN = "retrain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do, and why, in words for whoever reads a log in the morning."""

    action: Action
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Champion:
    """The model that runs, as far as the decision needs it.

    Attributes:
        version: its number in MLflow.
        digest: of the products it was trained on.
        offsets: of those in this topic, first and last, both inclusive; None if it was trained from a file or
            from another topic.
        loads: its bundle can be run by this version of the program.
    """

    version: int
    digest: str
    offsets: Mapping[int, tuple[int, int]] | None
    loads: bool = True


def champion_of(version: int, lineage: Mapping[str, object], *, topic: str) -> Champion:
    """Read a manifest's lineage."""
    read = Lineage.found_in(lineage)
    offsets = read.offsets if read is not None and read.topic == topic else None
    return Champion(version=version, digest=str(lineage.get("content_digest", "")), offsets=offsets)


#: What is decided where nobody asked whether anything changed.
ASKED_FOR: Final = Decision(action=Action.TRAIN, why="asked for, whatever has changed")


def decide_by_offsets(champion: Champion | None, bounds: Bounds) -> Decision:
    """Decide without reading the topic: there is nothing to do, or the labels have to be counted.

    >>> champion = Champion(version=3, digest="d", offsets={0: (0, 9)})
    >>> decide_by_offsets(champion, {0: (0, 10)}).action
    <Action.NOTHING: 'nothing to do'>
    >>> decide_by_offsets(champion, {0: (0, 14)}).why
    '4 records since the champion was trained'
    """
    if champion is None:
        return Decision(action=Action.TRAIN, why="there is no champion yet")
    if not champion.loads:
        return Decision(action=Action.TRAIN, why="the champion's bundle does not load in this version of sortline")
    if champion.offsets is None:
        return Decision(action=Action.COUNT, why="the champion was not trained from this topic")
    if is_recreated(champion.offsets, bounds):
        return Decision(action=Action.COUNT, why="the topic was made anew since the champion was trained")
    n_records = records_since(champion.offsets, bounds)
    if n_records == 0:
        return Decision(action=Action.NOTHING, why="no record has come since the champion was trained")
    noun = "record" if n_records == 1 else "records"
    return Decision(action=Action.COUNT, why=f"{n_records:,} {noun} since the champion was trained")


def decide_by_labels(
    champion: Champion | None,
    changes: LabelChanges | None,
    *,
    digest: str,
    min_new: int,
    trained_already: int | None,
    is_judged: bool,
) -> Decision:
    """Decide with the snapshot at hand.

    `changes` is None where it is not known what the champion was trained on. `trained_already` is a version that
    was trained on exactly the products of `digest`; `is_judged` says that it was refused, or that nobody asks for
    its promotion.
    """
    if champion is not None and champion.digest == digest:
        return Decision(action=Action.NOTHING, why="the champion was trained on exactly these products")
    if trained_already is not None and is_judged:
        return Decision(
            action=Action.NOTHING, why=f"version {trained_already} was trained on exactly these products"
        )
    if trained_already is not None:
        return Decision(
            action=Action.JUDGE, why=f"version {trained_already}, of exactly these products, was never judged"
        )
    if champion is None:
        return Decision(action=Action.TRAIN, why="there is no champion yet")
    if changes is None:
        return Decision(
            action=Action.TRAIN, why="the products differ, and the champion's run does not tell by what"
        )
    told = f"{changes.total:,} labels are new, changed or removed, of {min_new:,} wanted"
    return Decision(action=Action.TRAIN if changes.total >= min_new else Action.NOTHING, why=told)


def is_recreated(offsets: Mapping[int, tuple[int, int]], bounds: Bounds) -> bool:
    """Say whether the topic ends before what was read of it once: it was deleted and made anew.

    One that has grown past that place again is not recognised; its labels are counted all the same.
    """
    return any(partition not in bounds or bounds[partition][1] <= last for partition, (_, last) in offsets.items())


def records_since(offsets: Mapping[int, tuple[int, int]], bounds: Bounds) -> int:
    """Return how many offsets lie past those read once: at least as many as there are new records."""
    return sum(
        max(0, end - max(first, offsets[partition][1] + 1 if partition in offsets else first))
        for partition, (first, end) in bounds.items()
    )


def offsets_of(champion: Champion | None, bounds: Bounds) -> list[tuple[int, int | None, int | None]]:
    """Return of each partition its number, the champion's last offset and the topic's; None where none is."""
    known = {} if champion is None or champion.offsets is None else champion.offsets
    return [
        (
            partition,
            known[partition][1] if partition in known else None,
            bounds[partition][1] - 1 if partition in bounds and bounds[partition][1] else None,
        )
        for partition in sorted({*known, *bounds})
    ]
