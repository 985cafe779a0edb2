"""Dead letters with the same reason: how many, since when, where, and what became of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sortline.dead_letters.letters import Letter, State, fold


@dataclass(slots=True, kw_only=True)
class Group:
    """Letters with the same folded reason and stage.

    Attributes:
        reason: without what differs from letter to letter.
        stage: the step that failed, or `-` where the dialect does not tell.
        states: how many of them are in which state.
        most_attempts: how often the one that came back most often was replayed before.
        first_ms: time of the oldest, by its timestamp; None if none has one.
        last_ms: of the newest.
        offsets: per partition of the dead-letter topic the first and the last, both included.
    """

    reason: str
    stage: str
    states: dict[State, int] = field(default_factory=dict)
    most_attempts: int = 0
    first_ms: int | None = None
    last_ms: int | None = None
    offsets: dict[int, tuple[int, int]] = field(default_factory=dict)

    @property
    def n_letters(self) -> int:
        """How many letters it has."""
        return sum(self.states.values())

    @property
    def ranges(self) -> str:
        """Where they are, as `--offsets` takes it: `0:12-40 2:7-7`. Other letters may be between them."""
        return " ".join(f"{partition}:{first}-{last}" for partition, (first, last) in sorted(self.offsets.items()))

    def add(self, letter: Letter, state: State) -> None:
        """Count a letter."""
        self.states[state] = self.states.get(state, 0) + 1
        self.most_attempts = max(self.most_attempts, letter.attempts)
        at_ms = letter.record.timestamp_ms
        if at_ms is not None:
            self.first_ms = at_ms if self.first_ms is None else min(self.first_ms, at_ms)
            self.last_ms = at_ms if self.last_ms is None else max(self.last_ms, at_ms)
        partition, offset = letter.place
        first, last = self.offsets.get(partition, (offset, offset))
        self.offsets[partition] = (min(first, offset), max(last, offset))


def gather(letters: Iterable[tuple[Letter, State]]) -> list[Group]:
    """Return the groups, the largest first. Memory grows with their number, not with that of the letters."""
    groups: dict[tuple[str, str], Group] = {}
    for letter, state in letters:
        key = (letter.failure.stage or "-", fold(letter.reason))
        group = groups.get(key)
        if group is None:
            group = groups[key] = Group(stage=key[0], reason=key[1])
        group.add(letter, state)
    return sorted(groups.values(), key=lambda group: (-group.n_letters, group.reason, group.stage))
