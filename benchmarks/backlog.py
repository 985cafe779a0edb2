"""The memory of a worker that starts on a backlog: resident bytes beside events done, from first to last.

    python benchmarks/backlog.py                               # 5,000,000 events, a stack and a model of its own
    python benchmarks/backlog.py --model DIR --bootstrap HOST:PORT --registry URL --delivery exactly-once
    python benchmarks/backlog.py --events 200000 --every 0.1 --picture rss.svg

The events lie in a topic of the run's own before the worker starts, so it never waits for one: what it fetches,
holds and sends is bounded by its own limits or by nothing. Every second (`--every`) its resident size (VmRSS) is
read from /proc and the number of finished records from /metrics; the maximum is the kernel's own (VmHWM), so no
peak between two looks is missed. "After warm-up" is the first look after `--warm-up` records: by then code is
compiled and every buffer was full once. Linux only.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # a script: in place of its folder, whose http.py would hide Python's
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import httpx
import pyarrow as pa
from confluent_kafka import Producer

from benchmarks.harness import product_events, report
from benchmarks.harness.surroundings import add_arguments, own_topics, parse, surroundings
from benchmarks.harness.ways import Running, running, way
from schemas import columns
from schemas.avro_files import load_schema
from schemas.encoding import Encoder
from schemas.registry import ConfluentRegistry, SchemaRegistry
from schemas.topics import TopicNames

_AT_ONCE: Final = 100_000
_PROGRESS_SECONDS: Final = 10.0
#: A worker that finishes nothing for so long is stuck; its start counts, too.
_PATIENCE_SECONDS: Final = 120.0
_SHARES: Final = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was seen of the worker at one moment; `seconds` since its first record."""

    seconds: float
    records: int
    rss_mib: float


def main() -> int:
    """Fill a topic, watch a worker empty it, and tell; return the exit code."""
    args = _arguments()
    one = way(args.delivery)
    with surroundings(args, [one], _say) as around:
        registry = ConfluentRegistry(around.registry)
        with own_topics(around.bootstrap, registry, args.partitions) as names:
            n_bytes, seconds = fill(around.bootstrap, registry, names, args.events)
            _say(f"{args.events:,} events of {n_bytes / args.events:.0f} bytes are there after {seconds:.0f} s")
            group = f"backlog-{uuid.uuid4().hex[:6]}"
            with running(one, around, names=names, group=group) as process:
                looks = watch(process, args.events, every=args.every)
                maximum = resident_mib(process.process.pid, "VmHWM")
        found = {
            **report.circumstances(report.command_line("benchmarks/backlog.py", sys.argv[1:]), {}),
            **summary(looks, events=args.events, warm_up=args.warm_up, maximum_mib=maximum),
            "delivery": args.delivery,
            "partitions": args.partitions,
            "value_bytes": n_bytes,
        }
    print(table(found))
    if args.json:
        report.write_json(args.json, {**found, "looks": [asdict(look) for look in looks]})
    if args.picture:
        draw(looks, args.picture)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--delivery", choices=("at-least-once", "exactly-once"), default="at-least-once")
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--warm-up", type=int, default=50_000, help="records until memory is compared")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two looks at the worker")
    parser.add_argument("--picture", type=Path, help="also draw memory over time there (.svg or .png)")
    args = parse(parser)
    if args.events < 2 * args.warm_up:
        parser.error("--events has to be at least twice --warm-up")
    return args


def fill(bootstrap: str, registry: SchemaRegistry, names: TopicNames, n_events: int) -> tuple[int, float]:
    """Produce the events, a part at a time; return the bytes of their values, and how many seconds it took."""
    schema = load_schema("product_created")
    encoder = Encoder(schema, registry.register(f"{names.created}-value", schema))
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 50, "batch.size": 900_000})
    batch = product_events.products(min(_AT_ONCE, n_events))
    # The same for all, save for the id of an event: building them takes longer than sending them.
    headers = product_events.event_headers("backlog")
    started, n_bytes = time.perf_counter(), 0
    for start in range(0, n_events, _AT_ONCE):
        n_rows = min(_AT_ONCE, n_events - start)
        ids = [f"backlog-{start + i}" for i in range(n_rows)]
        rows = batch.slice(0, n_rows).set_column(
            0, columns.PRODUCT.field("product_id"), pa.array(ids, pa.string())
        )
        for key, value in zip(ids, encoder.encode(rows), strict=True):
            n_bytes += len(value)
            while True:
                try:
                    producer.produce(names.created, key=key, value=value, headers=headers)
                    break
                except BufferError:
                    producer.poll(0.1)
        if (start // _AT_ONCE) % 10 == 9:
            _say(f"{start + n_rows:,} events produced after {time.perf_counter() - started:.0f} s")
    if left := producer.flush(_PATIENCE_SECONDS):
        raise SystemExit(f"{left} events could not be produced within {_PATIENCE_SECONDS:.0f} s")
    return n_bytes, time.perf_counter() - started


def watch(process: Running, n_events: int, *, every: float) -> list[Look]:
    """Look every so many seconds until all is done. Raises SystemExit if the worker ends or gets no further."""
    looks: list[Look] = []
    started: float | None = None
    moved_at = told_at = time.monotonic()
    with httpx.Client(timeout=5) as client:
        while not looks or looks[-1].records < n_events:
            process.check()
            now = time.monotonic()
            records = finished_records(client, process.metrics or "")
            if records and started is None:
                started = now
            if started is not None:
                rss = resident_mib(process.process.pid, "VmRSS")
                if not looks or records > looks[-1].records:
                    moved_at = now
                looks.append(Look(seconds=round(now - started, 2), records=records, rss_mib=rss))
                if now - told_at >= _PROGRESS_SECONDS:
                    told_at = now
                    _say(f"{records:,} of {n_events:,} done after {now - started:.0f} s, {rss:.0f} MiB resident")
            if now - moved_at > _PATIENCE_SECONDS:
                raise SystemExit(f"the worker finished nothing for {_PATIENCE_SECONDS:.0f} s: {process.log_file}")
            time.sleep(max(0.0, now + every - time.monotonic()))
    return looks


def finished_records(client: httpx.Client, url: str) -> int:
    """Return how many records a worker has finished, by its metrics; 0 while it does not answer."""
    try:
        text = client.get(url).text
    except httpx.HTTPError:
        return 0  # it is still starting
    values = (line.split()[1] for line in text.splitlines() if line.startswith("sortline_records_total "))
    return int(float(next(values, "0")))


def resident_mib(pid: int, field: str) -> float:
    """Return a size of a process in MiB: `VmRSS` is what is resident now, `VmHWM` the most that ever was."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    kib = next(line.split()[1] for line in lines if line.startswith(f"{field}:"))
    return round(int(kib) / 1024, 1)


def summary(looks: Sequence[Look], *, events: int, warm_up: int, maximum_mib: float) -> dict[str, Any]:
    """Return the figures: resident MiB after warm-up and when each share was done, the maximum, the growth."""
    warm = next(look for look in looks if look.records >= warm_up)
    at = {f"{share:.0%}": next(look for look in looks if look.records >= share * events) for share in _SHARES}
    last = looks[-1]
    rate = (last.records - looks[0].records) / last.seconds if last.seconds else 0.0
    return {
        "events": events,
        "seconds": last.seconds,
        "events_per_second": round(rate),
        "after_warm_up": asdict(warm),
        "at": {share: asdict(look) for share, look in at.items()},
        "maximum_mib": maximum_mib,
        "growth_mib": round(last.rss_mib - warm.rss_mib, 1),
    }


def table(found: dict[str, Any]) -> str:
    """Return the figures as a table in Markdown."""
    rows = [("after warm-up", found["after_warm_up"]), *found["at"].items()]
    lines = ["| when | records done | seconds | resident MiB |", "| --- | ---: | ---: | ---: |"]
    lines += [
        f"| {name} | {one['records']:,} | {one['seconds']:.1f} | {one['rss_mib']:.0f} |" for name, one in rows
    ]
    lines.append(f"| maximum (VmHWM) | | | {found['maximum_mib']:.0f} |")
    told = f"{found['events']:,} events, {found['delivery']}, {found['events_per_second']:,} events/s"
    return "\n".join([told, "", *lines, "", f"growth from warm-up to the end: {found['growth_mib']:+.1f} MiB"])


def draw(looks: Sequence[Look], to: Path) -> None:
    """Draw memory and records over time."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    figure, memory = pyplot.subplots(figsize=(7, 3), layout="constrained")
    seconds = [look.seconds for look in looks]
    memory.plot(seconds, [look.rss_mib for look in looks], color="tab:blue")
    memory.set(xlabel="seconds", ylabel="resident MiB", ylim=(0, 1.15 * max(look.rss_mib for look in looks)))
    done = memory.twinx()
    done.plot(seconds, [look.records / 1e6 for look in looks], color="tab:gray", linestyle=":")
    done.set(ylabel="million records done", ylim=(0, None))
    figure.savefig(to)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
