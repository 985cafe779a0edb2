"""The stream's CPU and speed beside its peers, on the same events, the same broker and the same model.

    python benchmarks/stream.py                                # brings up a stack and trains a model
    python benchmarks/stream.py --model DIR --bootstrap HOST:PORT --registry URL --ways floor at-least-once

In rounds, one way after the other; each is a process of its own that is watched from outside:

    floor          consume and produce on librdkafka, the same bytes, as many headers, no work
    at-least-once  `sortline worker`
    exactly-once   `sortline worker --delivery exactly-once`
    plain          confluent-kafka: AvroDeserializer, pydantic, plain Python features, batches to Booster.predict
    faust          the same code in a Faust agent that takes batches
    quix           the same code in Quix Streams, an event at a time
    quix-sink      the same in a sink of Quix Streams, by batches

The peers' environments are made of benchmarks/peers/requirements-*.txt at the first run. After each run all
results are read: every event once, category and confidence (to 1e-6) as the bundle gives them, or the benchmark
fails. How CPU and time are taken is told in docs/performance.md. The exit code is 1 if a way gives wrong results,
or with --compare if the worker has become slower beside the floor or the plain loop.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # a script: in place of its folder, whose http.py would hide Python's
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import contextlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.harness import product_events, report
from benchmarks.harness.backlog import Measured, measure
from benchmarks.harness.figures import regressions, summaries
from benchmarks.harness.offsets import Offsets
from benchmarks.harness.outcomes import (
    Decisions,
    WrongResultsError,
    check_headers,
    check_passed_on,
    check_same,
    decoded,
    expected_decisions,
    read_records,
)
from benchmarks.harness.surroundings import Say, add_arguments, own_topics, parse, surroundings
from benchmarks.harness.ways import WAYS, Surroundings, Way, way
from schemas.registry import ConfluentRegistry
from schemas.topics import TopicNames

#: Six of CloudEvents and a traceparent.
N_HEADERS: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Events in a topic, and what is to become of them."""

    names: TopicNames
    keys: Sequence[bytes]
    values: Sequence[bytes]
    expected: Decisions


def main() -> int:
    """Measure, print a table, and return the exit code."""
    args = _arguments()
    ways = [way(name) for name in args.ways]
    with surroundings(args, ways, _say) as around:
        about = {
            **report.circumstances(report.command_line("benchmarks/stream.py", sys.argv[1:]), around.pythons),
            "model": json.loads((around.plain_model / "about.json").read_text())["constants"]["model_version"],
            "rounds": args.repetitions,
            "partitions": args.partitions,
        }
        try:
            rounds = run(ways, around, args.repetitions, args.events, args.peer_events, args.partitions, _say)
        except WrongResultsError as error:
            print(f"wrong results: {error}", file=sys.stderr)
            return 1
    found = report.throughput_report(about, summaries(rounds))
    table = report.throughput_table(found)
    print(table)
    stages = report.stage_table(found)
    print(f"\n{stages}" if stages else "")
    committed = json.loads(args.compare.read_text()) if args.compare else None
    if args.json:
        report.write_json(args.json, found)
    if args.save:
        report.save("throughput", found, table)
        if stages:
            report.write_into_page("stages", stages)
    slower = regressions(found, committed, args.margin) if committed else []
    for sentence in slower:
        print(f"slower: {sentence}", file=sys.stderr)
    return int(bool(slower))


def run(
    ways: Sequence[Way],
    around: Surroundings,
    repetitions: int,
    events: int,
    peer_events: int,
    partitions: int,
    say: Say,
) -> list[Mapping[str, Measured]]:
    """Return the rounds, each with a run of every way. Raises WrongResultsError if a way did not do the job."""
    offsets = Offsets(around.bootstrap)
    expected = expected_decisions(around.bundle, max(events, peer_events))
    with (
        contextlib.closing(ConfluentRegistry(around.registry)) as registry,
        own_topics(around.bootstrap, registry, partitions) as many,
        own_topics(around.bootstrap, registry, partitions) as few,
    ):
        loads = {
            is_peer: _load(around.bootstrap, registry, names, n_events, expected)
            for is_peer, names, n_events in ((False, many, events), (True, few, peer_events))
        }
        rounds: list[Mapping[str, Measured]] = []
        for repetition in range(repetitions):
            measured = {}
            for one in ways:
                load = loads[one.kind == "peer"]
                starts = offsets.ends([load.names.categorized, load.names.review])
                group = f"{one.name}-{repetition}-{uuid.uuid4().hex[:6]}"
                found = measure(one, around, names=load.names, group=group)
                _check(one, offsets, registry, starts, load)
                say(
                    f"round {repetition + 1} of {repetitions}, {one.name}: {found.cpu_us:.1f} us of CPU an event, "
                    f"{found.events_per_second:,.0f} events/s; results checked"
                )
                measured[one.name] = found
            rounds.append(measured)
    return rounds


def _load(
    bootstrap: str, registry: ConfluentRegistry, names: TopicNames, n_events: int, expected: Decisions
) -> Load:
    keys, values = product_events.event_values(registry, names, n_events)
    product_events.produce(bootstrap, names.created, keys, values)
    return Load(names=names, keys=keys, values=values, expected=expected)


def _check(
    one: Way, offsets: Offsets, registry: ConfluentRegistry, starts: dict[tuple[str, int], int], load: Load
) -> None:
    records = read_records(offsets, starts, [load.names.categorized, load.names.review])
    check_headers(records, N_HEADERS)
    if one.kind == "floor":
        check_passed_on(records, load.keys, load.values)
    else:
        check_same(decoded(registry, records, len(load.keys)), load.expected)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, can_save=True)
    names = [one.name for one in WAYS]
    parser.add_argument("--ways", nargs="+", choices=names, default=names, help="one or more; all")
    parser.add_argument("--events", type=int, default=500_000, help="for the floor and the worker")
    parser.add_argument("--peer-events", type=int, default=20_000, help="for the others, which are slower")
    parser.add_argument("--repetitions", type=int, default=3, help="rounds")
    parser.add_argument(
        "--compare",
        type=Path,
        nargs="?",
        const=report.RESULTS / "throughput.json",
        help="fail if the worker's ratios are worse than in this report; that of benchmarks/results",
    )
    parser.add_argument("--margin", type=float, default=1.3, help="how much worse a ratio may be")
    args = parse(parser)
    if args.compare and not args.compare.exists():
        parser.error(f"there is no report {args.compare} to compare with")
    return args


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
