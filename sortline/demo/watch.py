"""Watches the three outputs of the stream at once."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Self

from schemas.registry import SchemaRegistry
from schemas.topics import TopicNames, contracts
from sortline.topic_reader import TopicReader, TopicRecord
from sortline.topic_rows import RowDecoder, TopicRow


class Watcher:
    """Reads what is written to categorized, review and dead letters from now on; use it as a context.

    Attributes:
        last_arrival: when the clock showed that something had come, or since when it is waited for.
    """

    def __init__(
        self,
        names: TopicNames,
        bootstrap: str,
        registry: SchemaRegistry,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        outputs = (names.categorized, names.review, names.dead_letters)
        self._decoders = {
            contract.topic: RowDecoder(contract, registry)
            for contract in contracts(names)
            if contract.topic in outputs
        }
        self._reader = TopicReader(outputs, bootstrap=bootstrap, from_beginning=False)
        self._clock = clock
        self.last_arrival = clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._reader.__exit__(*_error)

    def begin(self) -> None:
        """Start waiting anew."""
        self.last_arrival = self._clock()

    def quiet_for(self, seconds: float) -> bool:
        """Say whether nothing has come for that long."""
        return self._clock() - self.last_arrival > seconds

    def poll(self, seconds: float) -> list[TopicRow]:
        """Return what comes within that time."""
        of_topic: dict[str, list[TopicRecord]] = defaultdict(list)
        for record in self._reader.poll(seconds):
            of_topic[record.topic].append(record)
        if of_topic:
            self.last_arrival = self._clock()
        return [row for topic, records in of_topic.items() for row in self._decoders[topic].decode(records)]
