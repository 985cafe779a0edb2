"""What a group of records costs in the worker, from the fetched bytes to those that are sent, as it gets small.

    python benchmarks/one_event.py --model DIR
    python benchmarks/one_event.py --model DIR --rows 1 60 --partitions 1 --json one_event.json

Under light load a group is a handful of records of a few partitions, and what a call costs counts, not what a
record costs. Products of the sample catalogue, in the record batches of as many partitions as are asked for (fewer
if there are fewer records). No Kafka: `fill` is what the worker does after deciding, the batches for the producer.

CPU time, median of the calls; all cases take turns, and every call has other records. The stages' is that of the
thread, *all* that of the process, whatever threads a library may start; *clock* is the time that passed.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # a script: in place of its folder, whose http.py would hide Python's
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import itertools
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from benchmarks.harness import report
from benchmarks.harness.product_events import event_headers, event_values
from models.bundle import load_bundle
from schemas import stages
from schemas.avro_files import load_schema
from schemas.columns import PRODUCT
from schemas.decoding import Decoder
from schemas.encoding import Encoder
from schemas.registry import InMemoryRegistry
from schemas.topics import TopicNames
from streams.batch_reading import read_batch
from streams.batch_writing import write_batch
from streams.output_columns import Outputs
from streams.record_slice import RecordGroup, RecordSlice
from streams.slices import SliceProcessor

_N_EVENTS: Final = 20_000
_MOST_BYTES: Final = 900_000
_LAY_OUT: Final = "lay out"
_FILL: Final = "fill"
_STAGES: Final = (
    *(stages.DECODE, stages.VALIDATE, stages.NGRAMS, stages.DENSE, stages.TREES, stages.TEXT_MODEL),
    *(stages.DECIDE, stages.ENCODE, _LAY_OUT, _FILL),
)


@dataclass(frozen=True, slots=True)
class Case:
    """Groups of one size; each call takes the next one."""

    n_rows: int
    n_partitions: int
    groups: Sequence[RecordGroup]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """CPU µs a call of one case."""

    n_rows: int
    n_partitions: int
    all: float
    clock: float
    stages: dict[str, float]


def main() -> int:
    """Measure, print a table, and return the exit code."""
    args = _arguments()
    registry, names = InMemoryRegistry(), TopicNames()
    values = event_values_of(registry, names)
    cases = [
        Case(n_rows, n_partitions, groups(values, names.created, n_rows, n_partitions))
        for n_rows in args.rows
        for n_partitions in args.partitions
    ]
    costs = measure(processor(args.model, registry, names), cases, args.seconds)
    print(table(costs))
    if args.json:
        about = report.circumstances(report.command_line("benchmarks/one_event.py", sys.argv[1:]), {})
        report.write_json(args.json, {**about, "groups": [asdict(cost) for cost in costs]})
    return 0


def event_values_of(registry: InMemoryRegistry, names: TopicNames) -> tuple[list[bytes], list[bytes]]:
    """Return keys and values of the events, after their schema was registered."""
    registry.register(f"{names.created}-value", load_schema("product_created"))
    return event_values(registry, names, _N_EVENTS)


def processor(model: Path, registry: InMemoryRegistry, names: TopicNames) -> SliceProcessor:
    """Return what the worker decides with."""
    schema = load_schema("product_categorized")
    return SliceProcessor(
        decoder=Decoder(registry, load_schema("product_created"), PRODUCT),
        classifier=load_bundle(model),
        encoder=Encoder(schema, registry.register(f"{names.categorized}-value", schema)),
        group_id="sortline",
        now_ms=lambda: time.time_ns() // 1_000_000,
    )


def groups(
    events: tuple[list[bytes], list[bytes]], topic: str, n_rows: int, n_partitions: int
) -> list[RecordGroup]:
    """Return at most 500 groups of so many records, spread over the partitions; every record is another event."""
    keys, values = events
    most = min(500, len(keys) // n_rows)
    found = []
    for start in range(0, most * n_rows, n_rows):
        cuts = np.linspace(start, start + n_rows, min(n_partitions, n_rows) + 1).astype(int).tolist()
        slices = []
        for partition, (first, last) in enumerate(itertools.pairwise(cuts)):
            data = _record_batch(keys[first:last], values[first:last], first)
            slices.append(RecordSlice((topic, partition), read_batch(data, 0, len(data))))
        found.append(RecordGroup(slices))
    return found


def _record_batch(keys: Sequence[bytes], values: Sequence[bytes], first: int) -> Any:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 30)
    for at, (key, value) in enumerate(zip(keys, values, strict=True)):
        headers = [
            (name, text if isinstance(text, bytes) else text.encode())
            for name, text in event_headers(str(first + at))
        ]
        builder.append(at, timestamp=0, key=key, value=value, headers=headers)
    return np.frombuffer(bytes(builder.build()), np.uint8)


def measure(processor: SliceProcessor, cases: Sequence[Case], seconds: float) -> list[Cost]:
    """Let all cases take turns until each had its share of the time, and return the medians."""
    for case in cases:
        for group in case.groups[:3]:
            _run(processor, group)
    found: list[list[dict[str, float]]] = [[] for _ in cases]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for case, calls in zip(cases, found, strict=True):
            # Small groups come in runs, as they do under light load; their large neighbours empty the caches.
            for _ in range(max(1, min(50, 500 // case.n_rows))):
                calls.append(_run(processor, case.groups[len(calls) % len(case.groups)]))
    return [_cost(case, calls) for case, calls in zip(cases, found, strict=True)]


def _run(processor: SliceProcessor, group: RecordGroup) -> dict[str, float]:
    """Process a group and fill its batches; return CPU µs by stage."""
    started, cpu, clock = time.thread_time_ns(), time.process_time_ns(), time.perf_counter_ns()
    # Anew, as the pipeline makes it of the slices that wait.
    outputs = processor.process(RecordGroup(group.slices))
    processed = time.thread_time_ns() - started
    for where in (outputs.categorized, outputs.review):
        for part in where.parts if isinstance(where, Outputs) else ():
            start = 0
            while start < len(part):
                _, start = write_batch(
                    part.arrays, start, most_bytes=_MOST_BYTES, compression=None, is_transactional=False
                )
    filled = time.thread_time_ns() - started
    whole = {"all": (time.process_time_ns() - cpu) / 1000, "clock": (time.perf_counter_ns() - clock) / 1000}
    spent = {stage: ns / 1000 for stage, ns in outputs.stage_ns.items()}
    return spent | {_FILL: (filled - processed) / 1000} | whole


def _cost(case: Case, calls: Sequence[dict[str, float]]) -> Cost:
    medians = {name: statistics.median(call[name] for call in calls) for name in (*_STAGES, "all", "clock")}
    whole, clock = medians.pop("all"), medians.pop("clock")
    return Cost(n_rows=case.n_rows, n_partitions=case.n_partitions, all=whole, clock=clock, stages=medians)


def table(costs: Sequence[Cost]) -> str:
    """Return a Markdown table, CPU µs a call."""
    titles = [f"{cost.n_rows:,} rows, {cost.n_partitions} part." for cost in costs]
    lines = [f"| CPU µs a call | {' | '.join(titles)} |", "| --- |" + " ---: |" * len(costs)]
    lines += [f"| {stage} | {' | '.join(f'{cost.stages[stage]:,.0f}' for cost in costs)} |" for stage in _STAGES]
    lines.append(f"| **all** | {' | '.join(f'**{cost.all:,.0f}**' for cost in costs)} |")
    lines.append(f"| clock | {' | '.join(f'{cost.clock:,.0f}' for cost in costs)} |")
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--model", type=Path, required=True, help="a bundle of the sample catalogue")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 10, 60, 500, 2_000], help="records a group")
    parser.add_argument("--partitions", type=int, nargs="+", default=[1, 6], help="partitions a group comes from")
    parser.add_argument("--seconds", type=float, default=20, help="for all cases together")
    parser.add_argument("--json", type=Path, help="write all figures here")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
