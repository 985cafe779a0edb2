"""From the moment an event is produced to the moment a subscriber has its result, at steady rates.

    python benchmarks/latency.py                               # brings up a stack and trains a model
    python benchmarks/latency.py --model DIR --bootstrap HOST:PORT --registry URL --rates 2000 half

For each way (the floor, `sortline worker` at-least-once and exactly-once) and each rate: a way's process, a
producer that sends when events are due, and a subscriber in a process of its own that reads committed records.
`half` is half of what the at-least-once worker does on a backlog, measured first unless --max-rate gives it. How
latency is taken is told in docs/performance.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # a script: in place of its folder, whose http.py would hide Python's
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import contextlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from benchmarks.harness import report
from benchmarks.harness.backlog import measure
from benchmarks.harness.product_events import event_values, produce
from benchmarks.harness.steady_rate import LatencyRun, measure_latency
from benchmarks.harness.surroundings import add_arguments, own_topics, parse, surroundings
from benchmarks.harness.ways import Surroundings, way
from schemas.registry import ConfluentRegistry

_HALF: Final = "half"
_NAMES: Final = ("floor", "at-least-once", "exactly-once")


def main() -> int:
    """Measure, print a table, and return the exit code."""
    args = _arguments()
    with surroundings(args, [], _say) as around:
        maximum = args.max_rate
        if _HALF in args.rates and maximum is None:
            maximum = max_rate(around, args.events, args.partitions)
            _say(f"at-least-once does {maximum:,.0f} events/s on a backlog")
        rates = [maximum / 2 if rate == _HALF else float(rate) for rate in args.rates]
        runs = run(args.ways, rates, around, args.partitions, args.seconds, args.warm_up)
        found = {
            **report.circumstances(report.command_line("benchmarks/latency.py", sys.argv[1:]), {}),
            "max_rate": maximum,
            "seconds": args.seconds,
            "runs": [asdict(one) for one in runs],
        }
    table = report.latency_table(found)
    print(table)
    if args.json:
        report.write_json(args.json, found)
    if args.save:
        report.save("latency", found, table)
    return 0


def run(
    names: Sequence[str],
    rates: Sequence[float],
    around: Surroundings,
    partitions: int,
    seconds: float,
    warm_up_seconds: float,
) -> list[LatencyRun]:
    """Return a run of each way at each rate, in topics of its own."""
    runs: list[LatencyRun] = []
    for rate in rates:
        for name in names:
            with (
                contextlib.closing(ConfluentRegistry(around.registry)) as registry,
                own_topics(around.bootstrap, registry, partitions) as topics,
            ):
                # One more: the event that tells that the way works.
                keys, values = event_values(registry, topics, 1 + int(rate * (seconds + warm_up_seconds)))
                found = measure_latency(
                    way(name),
                    around,
                    names=topics,
                    keys=keys,
                    values=values,
                    rate=rate,
                    warm_up_seconds=warm_up_seconds,
                )
            _say(
                f"{name} at {rate:,.0f} events/s: p50 {found.milliseconds['p50']:.1f} ms, "
                f"p99 {found.milliseconds['p99']:.1f} ms{'' if found.kept_up else '; did not keep up'}"
            )
            runs.append(found)
    return runs


def max_rate(around: Surroundings, n_events: int, partitions: int) -> float:
    """Return the events a second of the at-least-once worker on a backlog."""
    with (
        contextlib.closing(ConfluentRegistry(around.registry)) as registry,
        own_topics(around.bootstrap, registry, partitions) as names,
    ):
        produce(around.bootstrap, names.created, *event_values(registry, names, n_events))
        return measure(way("at-least-once"), around, names=names, group="max-rate").events_per_second


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, can_save=True)
    parser.add_argument("--ways", nargs="+", choices=_NAMES, default=list(_NAMES), help="one or more; all")
    parser.add_argument("--rates", nargs="+", default=["2000", "20000", _HALF], help="events/s, or half")
    parser.add_argument("--max-rate", type=float, help="the maximum that half is of; otherwise measured first")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each run is measured")
    parser.add_argument("--warm-up", type=float, default=5.0, help="seconds at the rate that are left out before")
    parser.add_argument("--events", type=int, default=200_000, help="of the backlog that gives the maximum")
    return parse(parser)


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
