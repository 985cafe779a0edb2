"""How long a way takes for a backlog, and how much CPU, by one rule for all ways.

The events are in the topic before the process is started. Clock and CPU are read when the first results are in
Kafka and when the group has committed the last event; what was done before the first look, start-up above all, is
left out on both sides: CPU, time, and the results that were there. All ways commit every half second.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

import httpx

from benchmarks.harness.offsets import Ends, Offsets, count
from benchmarks.harness.process_cpu import cpu_seconds
from benchmarks.harness.ways import Running, Surroundings, Way, running
from schemas.topics import TopicNames

_START_SECONDS: Final = 120.0
_FIRST_LOOK_SECONDS: Final = 0.01
_LOOK_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One run of one way.

    Attributes:
        events: those between the two looks.
        wall_seconds, cpu_seconds: between the looks; CPU of the process and its children, user and system.
        start_seconds: from the start of the process to the first results in Kafka.
        counters: of the worker, as it told them at the end: `*_seconds_total` since its start.
    """

    way: str
    events: int
    wall_seconds: float
    cpu_seconds: float
    start_seconds: float
    counters: dict[str, float] = field(default_factory=dict)

    @property
    def cpu_us(self) -> float:
        """CPU of the process, microseconds an event."""
        return self.cpu_seconds / self.events * 1e6

    @property
    def events_per_second(self) -> float:
        """Events a second of the clock."""
        return self.events / self.wall_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    at: float
    cpu: float
    results: int


def measure(
    one: Way, surroundings: Surroundings, *, names: TopicNames, group: str, seconds: float = 600.0
) -> Measured:
    """Let a way process all events of the topic, and measure it. Raises SystemExit if it ends or is too slow."""
    offsets = Offsets(surroundings.bootstrap)
    events = offsets.ends([names.created])
    outputs = [names.categorized, names.review, names.dead_letters]
    before = offsets.ends(outputs)
    n_events = sum(events.values())
    started = time.perf_counter()
    with running(one, surroundings, names=names, group=group) as process:
        deadline = time.monotonic() + _START_SECONDS
        first = _look(process, offsets, outputs, before)
        while first.results <= 0:
            _pause(process, deadline, "its first result", _FIRST_LOOK_SECONDS)
            first = _look(process, offsets, outputs, before)
        if first.results >= n_events:
            raise SystemExit(f"{one.name} was done with {n_events} events at the first look: give it more")
        deadline = time.monotonic() + seconds
        while not _is_committed(offsets.committed(group), events):
            _pause(process, deadline, f"the last of {n_events} events", _LOOK_SECONDS)
        last = _look(process, offsets, outputs, before)
        counters = _counters(process)
    return Measured(
        way=one.name,
        events=n_events - first.results,
        wall_seconds=last.at - first.at,
        cpu_seconds=last.cpu - first.cpu,
        start_seconds=first.at - started,
        counters=counters,
    )


def _look(process: Running, offsets: Offsets, outputs: list[str], before: Ends) -> _Look:
    process.check()
    results = count(offsets.ends(outputs), before)
    return _Look(at=time.perf_counter(), cpu=cpu_seconds(process.process.pid), results=results)


def _is_committed(committed: Ends, events: Ends) -> bool:
    return all(committed.get(place, 0) >= end for place, end in events.items())


def _pause(process: Running, deadline: float, what: str, seconds: float) -> None:
    process.check()
    if time.monotonic() > deadline:
        log = process.log_file.read_text(errors="replace")[-2_000:]
        raise SystemExit(f"{process.log_file.stem}: waited in vain for {what}:\n{log}")
    time.sleep(seconds)


def _counters(process: Running) -> dict[str, float]:
    if process.metrics is None:
        return {}
    text = httpx.get(process.metrics, timeout=5).text
    return parse_counters(text)


def parse_counters(text: str) -> dict[str, float]:
    r"""Return the times and the number of records that a worker tells at /metrics.

    >>> parse_counters("# HELP a_seconds_total x\na_seconds_total 1.5\nlag{partition=\"0\"} 3\n")
    {'a_seconds_total': 1.5}
    """
    pairs = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
    return {
        name: float(value)
        for name, _, value in pairs
        if name.partition("{")[0].endswith("_seconds_total") or name == "sortline_records_total"
    }
