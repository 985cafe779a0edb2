"""What a way is told: where the events are, where their results go, which model decides."""

from __future__ import annotations

import json
import signal
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The task of one process.

    Attributes:
        bootstrap: Kafka, host:port.
        registry: schema registry with Confluent's API.
        topic: where the events are.
        categorized: where decided ones go.
        review: where those go that a person decides.
        group: consumer group, new for every run.
        model: folder that `plain_model.export` wrote; empty for the floor.
        batch: most events that are decided on together.
        commit_seconds: how often offsets are committed.
        is_live: events come one by one and none may wait for others, as when latency is measured.
        variant: a way within the script, where it knows several.
    """

    bootstrap: str
    registry: str
    topic: str
    categorized: str
    review: str
    group: str
    model: str = ""
    batch: int = 500
    commit_seconds: float = 0.5
    is_live: bool = False
    variant: str = ""

    def write(self, to: Path) -> Path:
        """Write it to a file and return the file."""
        to.write_text(json.dumps(asdict(self)), encoding="utf-8")
        return to

    @classmethod
    def read(cls, path: str) -> Task:
        """Read what `write` wrote."""
        return cls(**json.loads(Path(path).read_text(encoding="utf-8")))


class StopSignal:
    """Becomes true on SIGTERM or Ctrl-C."""

    def __init__(self) -> None:
        self._is_told = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._tell)

    def __bool__(self) -> bool:
        return self._is_told

    def _tell(self, _number: int, _frame: FrameType | None) -> None:
        self._is_told = True
