"""Which slices were handed out and acknowledged, and how far a partition may be committed.

A slice is a run of records of one partition that is processed and acknowledged as one. Its offsets need not be
consecutive: compaction and transaction markers leave gaps. So nothing here counts offsets; what counts is the
order in which slices were handed out. The commit is the acknowledged prefix of that order: a slice that is not
acknowledged holds back everything behind it, and nothing else does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TypeAlias

#: Topic and partition. Faust's `TP` and aiokafka's `TopicPartition` are equal to this tuple, and hash alike.
Partition: TypeAlias = tuple[str, int]


@dataclass(slots=True)
class _Slice:
    last: int
    resume: int
    is_acked: bool = False


class OffsetLedger:
    """The slices in flight of every partition, since the last (re)assignment.

    Not thread-safe: the event loop that delivers is the one that acknowledges and commits.
    """

    def __init__(self) -> None:
        self._generation = -1
        self._slices: dict[Partition, deque[_Slice]] = {}
        self._resume: dict[Partition, int] = {}
        self._in_flight = 0

    @property
    def in_flight(self) -> int:
        """Number of slices handed out and not yet acknowledged."""
        return self._in_flight

    @property
    def generation(self) -> int:
        """The group generation whose slices are counted."""
        return self._generation

    def begin(self, generation: int) -> None:
        """Forget everything and start to count for a new generation of the group."""
        self._generation = generation
        self._slices.clear()
        self._resume.clear()
        self._in_flight = 0

    def deliver(self, partition: Partition, *, last: int, resume: int) -> None:
        """Note that a slice is handed out.

        Args:
            partition: where its records come from.
            last: the offset of its last record, which names the slice.
            resume: where to go on reading after it; larger than `last + 1` if the log goes on with records that
                nobody gets to see (markers, aborted or compacted ones).

        Raises ValueError if the slice does not follow the one before it: that would be a bug in the fetch loop.
        """
        slices = self._slices.setdefault(partition, deque())
        if resume <= last or (slices and last < slices[-1].resume):
            before = slices[-1].resume if slices else 0
            raise ValueError(f"slice {partition} ending at {last}, resuming at {resume}, after {before}")
        slices.append(_Slice(last, resume))
        self._in_flight += 1

    def skip(self, partition: Partition, resume: int) -> None:
        """Note that reading went on to `resume` and that there was no record for us on the way."""
        slices = self._slices.get(partition)
        if slices:
            slices[-1].resume = max(slices[-1].resume, resume)
        else:
            self._resume[partition] = max(self._resume.get(partition, resume), resume)

    def ack(self, partition: Partition, last: int, generation: int) -> bool:
        """Note that every output of the slice ending at `last` was delivered; True if that was news.

        A slice of another generation is none of ours any more, and neither is one of a revoked partition: nothing
        happens.
        """
        if generation != self._generation:
            return False
        slices = self._slices.get(partition, ())
        found = next((one for one in slices if one.last == last), None)
        if found is None or found.is_acked:
            return False
        found.is_acked = True
        self._in_flight -= 1
        while slices and slices[0].is_acked:
            self._resume[partition] = self._slices[partition].popleft().resume
        return True

    def committable(self, partition: Partition) -> int | None:
        """Return the offset to commit: everything before it was acknowledged. None if nothing was so far.

        Asking changes nothing, so a commit that failed is simply repeated.
        """
        return self._resume.get(partition)

    def holds(self, partition: Partition, last: int, generation: int) -> bool:
        """Return whether the slice ending at `last` was handed out in this generation and is not acknowledged."""
        slices = self._slices.get(partition, ()) if generation == self._generation else ()
        return any(one.last == last and not one.is_acked for one in slices)

    def is_gapless(self, partition: Partition) -> bool:
        """Return whether what was acknowledged is exactly what `committable` covers: nothing behind a gap."""
        return not any(one.is_acked for one in self._slices.get(partition, ()))

    def partitions(self) -> Collection[Partition]:
        """Return the partitions that have something to commit."""
        return self._resume.keys()

    def drop(self, partitions: Iterable[Partition]) -> None:
        """Forget revoked partitions, acknowledged or not."""
        for partition in partitions:
            gone = self._slices.pop(partition, ())
            self._in_flight -= sum(not one.is_acked for one in gone)
            self._resume.pop(partition, None)
