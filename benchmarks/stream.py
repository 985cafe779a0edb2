"""The stream's throughput, latency and CPU, beside a bare consume-and-produce loop on librdkafka.

    python benchmarks/stream.py --model bundles/first --events 200000

Needs a running stack (`sortline stack up`). Makes topics of its own and removes them. In one run, on the same
events and the same broker:

- floor: confluent_kafka, one loop, no framework, no work: consume, produce with as many headers, acks=all.
- worker: `sortline worker` as a process of its own, with the given model.

CPU is that of the whole process; "transport" is what is left without the scoring thread (decode to encode): what
Kafka, Faust and the delivery cost. Latency is from the producer's timestamp of an event to the read of its output,
at a steady rate, after the backlog; producer and reader share the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from schemas import columns
from schemas.avro_files import load_schema
from schemas.cloudevents import product_headers, rfc3339
from schemas.encoding import Encoder
from schemas.product_files import read_products
from schemas.registry import ConfluentRegistry
from schemas.topics import TopicNames, contracts
from sortline.topics import apply_topics

SAMPLE = Path(__file__).resolve().parents[1] / "sortline" / "sample_data" / "pcparts.parquet"
TRACEPARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One way to move the events."""

    name: str
    events: int
    wall_seconds: float
    cpu_seconds: float
    scoring_cpu_seconds: float = 0.0

    @property
    def cpu_us(self) -> float:
        """CPU of the process, in microseconds an event."""
        return self.cpu_seconds / self.events * 1e6

    @property
    def transport_us(self) -> float:
        """The same without the scoring thread."""
        return (self.cpu_seconds - self.scoring_cpu_seconds) / self.events * 1e6


def main() -> None:
    """Measure, and print a table."""
    args = _arguments()
    names = TopicNames.with_prefix(f"bench{uuid.uuid4().hex[:8]}.")
    registry = ConfluentRegistry(args.registry)
    apply_topics(bootstrap=args.bootstrap, registry=registry, names=names, partitions=args.partitions)
    admin = AdminClient({"bootstrap.servers": args.bootstrap})
    try:
        keys, values = _events(registry, names, args.events)
        _produce(args.bootstrap, names.created, keys, values)
        print(
            f"{len(keys)} events of {np.mean([len(value) for value in values]):.0f} bytes, "
            f"{args.partitions} partitions"
        )
        floor = _in_process(_floor, args.bootstrap, names, len(keys), False)
        latencies = {"floor": _floor_latency(args, names, keys, values)} if args.rate else {}
        # The floor's latency was measured on more events of the same topic.
        n_inputs = len(keys) + int(latencies["floor"]["events"] if latencies else 0)
        with _worker(args, names) as url:
            worker = _watch(url, n_inputs)
            if args.rate:
                latencies["worker"] = _latency(args, names, keys, values)
    finally:
        for future in admin.delete_topics([one.topic for one in contracts(names)]).values():
            future.result()
    _report([floor, worker], latencies, args.json)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap", default="127.0.0.1:19092")
    parser.add_argument("--registry", default="http://127.0.0.1:18081/apis/ccompat/v7")
    parser.add_argument("--model", required=True, help="folder of a bundle")
    parser.add_argument("--delivery", choices=["at-least-once", "exactly-once"], default="at-least-once")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--partitions", type=int, default=6)
    parser.add_argument("--rate", type=int, default=2_000, help="events/s for the latency; 0 leaves it out")
    parser.add_argument("--seconds", type=float, default=15.0, help="how long to measure the latency")
    parser.add_argument("--web-port", type=int, default=6097)
    parser.add_argument("--json", type=Path, help="also write the figures there")
    return parser.parse_args()


def _events(registry: ConfluentRegistry, names: TopicNames, n_events: int) -> tuple[list[bytes], list[bytes]]:
    """Return keys and framed values: the sample catalogue, over and over, each product under a new id."""
    table = read_products(SAMPLE, labelled=False).select(columns.PRODUCT.names).combine_chunks()
    rows = np.arange(n_events) % table.num_rows
    ids = [f"bench-{i}" for i in range(n_events)]
    batch = table.take(rows).combine_chunks().to_batches()[0]
    batch = batch.set_column(0, columns.PRODUCT.field("product_id"), pa.array(ids))
    schema_id = registry.latest(f"{names.created}-value")
    if schema_id is None:
        raise SystemExit("the topic's schema is not registered")
    return [one.encode() for one in ids], Encoder(load_schema("product_created"), schema_id).encode(batch)


def _headers(event_id: str) -> list[tuple[str, str | bytes]]:
    headers = product_headers(
        source="/bench", type="bench.created", event_id=event_id, time_header=rfc3339(int(time.time() * 1000))
    )
    return [*headers, ("traceparent", TRACEPARENT)]


def _produce(bootstrap: str, topic: str, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 20, "batch.size": 900_000})
    for i, (key, value) in enumerate(zip(keys, values, strict=True)):
        while True:
            try:
                producer.produce(topic, key=key, value=value, headers=_headers(str(i)))
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush()


def _floor(bootstrap: str, names: TopicNames, n_events: int, is_live: bool) -> Measured:
    """Pass events on without any work; `is_live`: those that come from now on, each at once."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"floor-{names.created}",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 0 if is_live else 5,
        }
    )
    _assign(consumer, [names.created], at_end=is_live)
    rest = _headers("")[2:]
    done, started, cpu = 0, 0.0, 0.0
    while done < n_events:
        records = consumer.consume(2_000, 0.002 if is_live else 0.5)
        if records and not done:
            started, cpu = time.perf_counter(), time.process_time()
        for record in records:
            place = f"{record.topic()}/{record.partition()}/{record.offset()}"
            while True:
                try:
                    producer.produce(
                        names.review,
                        key=record.key(),
                        value=record.value(),
                        headers=[("ce_specversion", b"1.0"), ("ce_id", place.encode()), *rest],
                        partition=record.partition() or 0,
                    )
                    break
                except BufferError:
                    producer.poll(0.01)
        producer.poll(0)
        done += len(records)
    producer.flush()
    consumer.commit(asynchronous=False)
    measured = Measured(
        name="floor",
        events=n_events,
        wall_seconds=time.perf_counter() - started,
        cpu_seconds=time.process_time() - cpu,
    )
    consumer.close()
    return measured


def _in_process(function: object, *arguments: object) -> Measured:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        measured: Measured = pool.apply(function, arguments)  # type: ignore[arg-type]  # object keeps it short
        return measured


@contextlib.contextmanager
def _worker(args: argparse.Namespace, names: TopicNames) -> Iterator[str]:
    prefix = names.created.removesuffix(TopicNames().created)
    command = [
        sys.executable, "-m", "sortline", "worker",
        "--model", args.model, "--bootstrap", args.bootstrap, "--registry", args.registry,
        "--topic-prefix", prefix, "--group-id", f"worker-{prefix}", "--web-port", str(args.web_port),
        "--delivery", args.delivery,
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{args.web_port}"
    finally:
        process.terminate()
        process.wait(30)


def _watch(url: str, n_events: int) -> Measured:
    first: dict[str, float] | None = None
    started = 0.0
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        try:
            now = _metrics(url)
        except httpx.HTTPError:
            time.sleep(0.05)
            continue
        if now["sortline_records_total"] and first is None:
            first, started = now, time.perf_counter()
        if first is not None and now["sortline_records_total"] >= n_events:
            return Measured(
                name="worker",
                events=int(now["sortline_records_total"] - first["sortline_records_total"]),
                wall_seconds=time.perf_counter() - started,
                cpu_seconds=now["process_cpu_seconds_total"] - first["process_cpu_seconds_total"],
                scoring_cpu_seconds=now["sortline_scoring_cpu_seconds_total"]
                - first["sortline_scoring_cpu_seconds_total"],
            )
        time.sleep(0.02)
    raise SystemExit("the worker did not finish within 600 s")


def _metrics(url: str) -> dict[str, float]:
    text = httpx.get(f"{url}/metrics", timeout=5).text
    return {name: float(value) for name, value in re.findall(r"^(\w+) (\S+)$", text, re.MULTILINE)}


def _latency(
    args: argparse.Namespace, names: TopicNames, keys: Sequence[bytes], values: Sequence[bytes]
) -> dict[str, float]:
    """Produce at a steady rate, and time each event's way to the reader of the outputs."""
    n_events = min(int(args.rate * args.seconds), len(keys))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pending = pool.apply_async(_read_latencies, (args.bootstrap, names, n_events))
        time.sleep(3.0)  # until the reader stands at the end
        producer = Producer({"bootstrap.servers": args.bootstrap, "linger.ms": 0})
        started = time.perf_counter()
        for i in range(n_events):
            wait = started + i / args.rate - time.perf_counter()
            if wait > 0:
                producer.poll(0)
                time.sleep(wait)
            producer.produce(names.created, key=keys[i], value=values[i], headers=_headers(f"late-{i}"))
        producer.flush()
        found = np.array(pending.get(120))
    shares = {f"p{share}_ms": float(np.percentile(found, share)) for share in (50, 90, 99)}
    return {"events": len(found), "rate": args.rate, **shares, "max_ms": float(found.max())}


def _floor_latency(
    args: argparse.Namespace, names: TopicNames, keys: Sequence[bytes], values: Sequence[bytes]
) -> dict[str, float]:
    n_events = min(int(args.rate * args.seconds), len(keys))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        passing = pool.apply_async(_floor, (args.bootstrap, names, n_events, True))
        time.sleep(3.0)  # until it stands at the end
        found = _latency(args, names, keys, values)
        passing.get(60)
    return found


def _read_latencies(bootstrap: str, names: TopicNames, n_events: int) -> list[float]:
    """Return the milliseconds from an input's timestamp to the read of its output; `ce_id` names the input."""
    inputs = Consumer({"bootstrap.servers": bootstrap, "group.id": f"in-{uuid.uuid4().hex}"})
    outputs = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": f"out-{uuid.uuid4().hex}", "fetch.wait.max.ms": 5}
    )  # reads committed records only, which is the default
    _assign(inputs, [names.created], at_end=True)
    _assign(outputs, [names.categorized, names.review], at_end=True)
    seen: dict[str, float] = {}
    deadline = time.monotonic() + 90
    while len(seen) < n_events and time.monotonic() < deadline:
        for record in outputs.consume(1_000, 0.005):
            headers = dict(record.headers() or [])
            seen[bytes(headers["ce_id"]).decode()] = time.time() * 1000
    times: list[float] = []
    while len(times) < len(seen):
        for record in inputs.consume(5_000, 1.0):
            place = f"{record.topic()}/{record.partition()}/{record.offset()}"
            if place in seen:
                times.append(seen[place] - record.timestamp()[1])
    return times


def _assign(consumer: Consumer, topics: Sequence[str], *, at_end: bool) -> None:
    places: list[TopicPartition] = []
    for topic in topics:
        for partition in consumer.list_topics(topic).topics[topic].partitions:
            begin, end = consumer.get_watermark_offsets(TopicPartition(topic, partition))
            places.append(TopicPartition(topic, partition, end if at_end else begin))
    consumer.assign(places)


def _report(measured: Sequence[Measured], latencies: dict[str, dict[str, float]], to: Path | None) -> None:
    floor = measured[0]
    print(f"{'':8}{'events/s':>10}{'wall s':>9}{'CPU s':>8}{'CPU us/event':>14}{'scoring':>9}"
          f"{'transport':>11}{'transport/floor':>17}")  # fmt: skip
    rows = []
    for one in measured:
        row = {
            **asdict(one),
            "events_per_second": one.events / one.wall_seconds,
            "cpu_us_per_event": one.cpu_us,
            "transport_us_per_event": one.transport_us,
            "transport_to_floor": one.transport_us / floor.cpu_us,
        }
        rows.append(row)
        print(
            f"{one.name:8}{row['events_per_second']:>10,.0f}{one.wall_seconds:>9.2f}{one.cpu_seconds:>8.2f}"
            f"{one.cpu_us:>14.2f}{one.cpu_us - one.transport_us:>9.2f}{one.transport_us:>11.2f}"
            f"{row['transport_to_floor']:>17.2f}"
        )
    for name, latency in latencies.items():
        print(f"latency of the {name}: " + ", ".join(f"{key} {value:,.1f}" for key, value in latency.items()))
    if to:
        to.write_text(json.dumps({"throughput": rows, "latency": latencies}, indent=2) + "\n")


if __name__ == "__main__":
    main()
