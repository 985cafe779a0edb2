"""What a second core and a second worker bring: events a second on a backlog, one broker, one run.

    python benchmarks/scaling.py                               # a stack and a model of its own
    python benchmarks/scaling.py --model DIR --bootstrap HOST:PORT --registry URL --delivery exactly-once

One worker kept to one core, one worker on all cores, two workers on all cores; each in a consumer group of its
own on the same topic, in turn. The rate is that between a fifth and nineteen twentieths of the events, by the
workers' own counters, so that neither starts nor stops are in it. The broker shares the cores and takes what it
needs; on two cores it is the broker and the sum of both that limit. Linux only.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # a script: in place of its folder, whose http.py would hide Python's
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import contextlib
import os
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import httpx

from benchmarks.backlog import fill, finished_records
from benchmarks.harness import report
from benchmarks.harness.surroundings import add_arguments, own_topics, parse, surroundings
from benchmarks.harness.ways import Running, Surroundings, Way, running, way
from schemas.registry import ConfluentRegistry
from schemas.topics import TopicNames

_FROM, _TO = 0.2, 0.95
_LOOK_SECONDS: Final = 0.2
_PATIENCE_SECONDS: Final = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How many workers, and on how many cores each may run; None is all."""

    title: str
    workers: int
    cores: int | None


LAYOUTS: Final = (
    Layout(title="1 worker on 1 core", workers=1, cores=1),
    Layout(title="1 worker on all cores", workers=1, cores=None),
    Layout(title="2 workers on all cores", workers=2, cores=None),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled:
    """The rate of a layout."""

    title: str
    events_per_second: float


def main() -> int:
    """Measure, print a table, and return the exit code."""
    args = _arguments()
    one = way(args.delivery)
    with surroundings(args, [one], _say) as around:
        registry = ConfluentRegistry(around.registry)
        with own_topics(around.bootstrap, registry, args.partitions) as names:
            fill(around.bootstrap, registry, names, args.events)
            found = [measure(layout, one, around, names, args.events) for layout in LAYOUTS]
        about = report.circumstances(report.command_line("benchmarks/scaling.py", sys.argv[1:]), {})
    print(table(found))
    if args.json:
        report.write_json(
            args.json, {**about, "delivery": args.delivery, "layouts": [asdict(one) for one in found]}
        )
    return 0


def measure(layout: Layout, one: Way, around: Surroundings, names: TopicNames, n_events: int) -> Scaled:
    """Return the rate of a layout. Raises SystemExit if a worker ends or nothing goes on."""
    group = f"scaling-{uuid.uuid4().hex[:6]}"
    with contextlib.ExitStack() as started, httpx.Client(timeout=5) as client:
        workers: list[Running] = []
        for _ in range(layout.workers):
            worker = started.enter_context(running(one, around, names=names, group=group))
            if layout.cores is not None:
                os.sched_setaffinity(worker.process.pid, sorted(os.sched_getaffinity(0))[: layout.cores])
            workers.append(worker)
        looks: list[tuple[float, int]] = []
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while not looks or looks[-1][1] < _TO * n_events:
            for worker in workers:
                worker.check()
            done = sum(finished_records(client, worker.metrics or "") for worker in workers)
            looks.append((time.monotonic(), done))
            if looks[-1][0] > give_up_at:
                raise SystemExit(f"{layout.title}: {done:,} of {n_events:,} after {_PATIENCE_SECONDS:.0f} s")
            time.sleep(_LOOK_SECONDS)
    rate = rate_between(looks, _FROM * n_events)
    _say(f"{layout.title}: {rate:,.0f} events/s")
    return Scaled(title=layout.title, events_per_second=rate)


def rate_between(looks: Sequence[tuple[float, int]], start: float) -> float:
    """Return the records a second from the first look with `start` records or more to the last look.

    >>> rate_between([(0.0, 0), (1.0, 30), (2.0, 90), (3.0, 150)], 20)
    60.0
    """
    first = next(look for look in looks if look[1] >= start)
    last = looks[-1]
    return (last[1] - first[1]) / (last[0] - first[0])


def table(found: Sequence[Scaled]) -> str:
    """Return the Markdown table; the first layout is what the others are compared with."""
    lines = ["| | events/s | ÷ 1 worker on 1 core |", "| --- | --- | --- |"]
    base = found[0].events_per_second
    lines += [
        f"| {one.title} | {one.events_per_second:,.0f} | {one.events_per_second / base:.2f} |" for one in found
    ]
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--delivery", choices=("at-least-once", "exactly-once"), default="exactly-once")
    parser.add_argument("--events", type=int, default=2_000_000)
    return parse(parser)


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
