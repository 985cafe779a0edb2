"""Break the stream in the middle of its work, and count what a subscriber missed or got twice.

    python benchmarks/faults.py --scenario kill --events 200000 --repetitions 20 --delivery exactly-once

Without --bootstrap and --registry a stack of the run's own is started on free ports and removed afterwards; with
them a running one is used (`sortline stack up`), in topics of the run's own, except for the outage: nobody else's
broker is killed. Events are produced all the time, at --rate; each fault comes at a random moment of its share of
them. Three in a hundred events are broken and three are tombstones, so all three outputs are written to.

    kill           kill -9 one worker, start it again at once
    zombie         freeze one worker (SIGSTOP) past its session, until the others have its partitions; SIGCONT
    rolling        SIGTERM one worker after the other, start each again
    outage         kill -9 the broker, start it again after --fault-seconds
    produce-error  the broker refuses every output for --fault-seconds (max.message.bytes); in turn with and
                   without the dead letters, so that workers go on with dead letters or have to halt
    slow-model     the first worker scores each batch for --batch-seconds, longer than a session lasts; the second
                   one leaves and comes back meanwhile

The exit code is 1 if an event is missing or in the wrong place or, with exactly-once, repeated.
docs/faults.md tells how to read the table.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # a script: in place of its folder, whose http.py would hide Python's
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import contextlib
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, get_args

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.fault_harness.events import Templates, decide_templates
from benchmarks.fault_harness.run import Delivery, Plan, Result, run
from benchmarks.fault_harness.scenarios import ScenarioName
from benchmarks.fault_harness.stacks import Broker, own_stack
from compose.services import Endpoints
from sortline.settings import read_settings

if TYPE_CHECKING:
    import pyarrow as pa

_SAMPLE = Path(__file__).resolve().parents[1] / "sortline" / "sample_data" / "pcparts.parquet"
_PIPED_WIDTH = 140


def main() -> int:
    """Run the scenarios, print a table, and return the exit code."""
    args = _arguments()
    console = Console(stderr=True)
    folder = Path(tempfile.mkdtemp(prefix="sortline-faults-"))
    results: list[Result] = []
    try:
        model, templates = _model(args.model, folder)
        with _Stacks(args, folder, console) as stacks:
            for scenario in args.scenario:
                plan = _plan(args, scenario)
                endpoints, broker = stacks.for_scenario(scenario)
                progress = _Progress(console, plan)
                result = run(
                    plan,
                    endpoints=endpoints,
                    broker=broker,
                    model=model,
                    templates=templates,
                    folder=folder / f"{len(results)}-{scenario}",
                    progress=progress,
                )
                results.append(result)
                problems = result.problems()
                for problem in problems:
                    console.print(f"{scenario}: {problem}", style="bold red")
                if not problems:
                    console.print(f"{scenario}: the promise held, {result.seconds:.0f} s", style="green")
                _write(args.json, results)
    finally:
        if len(results) == len(args.scenario) and not any(one.problems() for one in results):
            shutil.rmtree(folder, ignore_errors=True)
        else:
            console.print(f"the workers' logs are in {folder}", soft_wrap=True)
    Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH).print(_table(results))
    return int(any(one.problems() for one in results))


def _arguments() -> argparse.Namespace:
    defaults = Plan(scenario="kill")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = get_args(ScenarioName)
    parser.add_argument("--scenario", nargs="+", choices=names, default=list(names), help="one or more; all")
    parser.add_argument("--delivery", choices=get_args(Delivery), default=defaults.delivery)
    parser.add_argument("--events", type=_positive, default=defaults.events)
    parser.add_argument("--repetitions", type=_positive, default=defaults.repetitions, help="number of faults")
    parser.add_argument("--workers", type=_positive, default=defaults.workers)
    parser.add_argument("--partitions", type=_positive, default=defaults.partitions)
    parser.add_argument("--rate", type=_positive, default=defaults.rate, help="events/s while faults happen")
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--model", type=Path, help="folder of a bundle; otherwise a tiny one is fitted")
    parser.add_argument("--session-seconds", type=float, help="the workers' session; otherwise their default")
    parser.add_argument("--fault-seconds", type=float, default=defaults.fault_seconds)
    parser.add_argument("--batch-seconds", type=float, help="of the slow model; otherwise 2 more than a session")
    parser.add_argument("--bootstrap", help="a running Kafka; with --registry")
    parser.add_argument("--registry", help="its schema registry")
    parser.add_argument("--engine", choices=("auto", "docker", "jvm"), default="auto", help="of the own stack")
    parser.add_argument("--json", type=Path, help="also write everything there")
    args = parser.parse_args()
    if (args.bootstrap is None) != (args.registry is None):
        parser.error("--bootstrap and --registry go together")
    if args.workers < 2 and {"zombie", "slow-model"} & set(args.scenario):
        parser.error("zombie and slow-model need --workers 2 or more")
    if args.partitions < args.workers:
        parser.error("every worker needs a partition: --partitions is less than --workers")
    return args


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _plan(args: argparse.Namespace, scenario: ScenarioName) -> Plan:
    session = args.session_seconds or read_settings().session_timeout_seconds
    return Plan(
        scenario=scenario,
        delivery=args.delivery,
        events=args.events,
        repetitions=args.repetitions,
        workers=args.workers,
        partitions=args.partitions,
        rate=args.rate,
        seed=args.seed,
        session_seconds=session,
        fault_seconds=args.fault_seconds,
        batch_seconds=args.batch_seconds or session + 2,
    )


def _model(given: Path | None, folder: Path) -> tuple[Path, Templates]:
    """Return the bundle, and products on which it has decided."""
    products: pa.RecordBatch
    if given is not None:
        from schemas.product_files import read_products

        products = read_products(_SAMPLE, labelled=False).combine_chunks().to_batches()[0]
        return given, decide_templates(given, products)
    from tests.tiny_model import build_tiny_bundle, tiny_products

    model = build_tiny_bundle(folder / "tiny", threshold=0.9)
    return model, decide_templates(model, tiny_products())


class _Stacks:
    """Where the scenarios run: the stack that was given, or one of our own, started when it is first needed."""

    def __init__(self, args: argparse.Namespace, folder: Path, console: Console) -> None:
        self._given = Endpoints(bootstrap=args.bootstrap, registry_url=args.registry) if args.bootstrap else None
        self._engine = args.engine
        self._folder = folder
        self._console = console
        self._own: tuple[Endpoints, Broker] | None = None
        self._cleanup = contextlib.ExitStack()

    def __enter__(self) -> _Stacks:
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def for_scenario(self, scenario: ScenarioName) -> tuple[Endpoints, Broker | None]:
        """Return the endpoints, and the broker if it may be killed."""
        if self._given is not None and scenario != "outage":
            return self._given, None
        if self._own is None:
            say = self._console.print
            self._own = self._cleanup.enter_context(own_stack(self._engine, self._folder / "stack", say))
        return self._own


class _Progress:
    """Prints what is going on: on a terminal in one line, elsewhere a line every ten seconds."""

    def __init__(self, console: Console, plan: Plan) -> None:
        self._console = console
        self._plan = plan
        self._next = 0.0

    def __call__(self, what: str, n_seen: int, n_faults: int) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (0.5 if self._console.is_terminal else 10.0)
        plan = self._plan
        self._console.print(
            f"{plan.scenario}, {plan.delivery}: {n_faults} of {plan.repetitions} faults, "
            f"{n_seen:,} of {plan.events:,} events out ({what})".ljust(self._console.width),
            end="\r" if self._console.is_terminal else "\n",
            soft_wrap=True,
        )


def _table(results: Sequence[Result]) -> Table:
    table = Table(box=box.SIMPLE)
    for name in ("scenario", "delivery", "output"):
        table.add_column(name)
    for name in ("faults", "events", "missing", "elsewhere", "repeated", "aborted", "longest pause"):
        table.add_column(name, justify="right")
    table.add_column("exits: times x code")
    for result in results:
        if result.account is None:
            table.add_row(result.plan.scenario, result.plan.delivery, result.stall, style="red")
            continue
        for i, topic in enumerate(result.account.topics):
            head = [result.plan.scenario, result.plan.delivery] if not i else ["", ""]
            exits = ", ".join(f"{n} x {code}" for code, n in sorted(result.exits.items()))
            tail = [f"{result.longest_pause:.1f} s", exits] if not i else ["", ""]
            table.add_row(
                *head,
                topic.place.name.lower().replace("_", " "),
                str(result.faults) if not i else "",
                *(f"{n:,}" for n in (topic.events, topic.missing, topic.elsewhere, topic.repeated, topic.aborted)),
                *tail,
                style="red" if result.problems() else None,
                end_section=i == len(result.account.topics) - 1,
            )
    return table


def _write(to: Path | None, results: Sequence[Result]) -> None:
    """Write everything known so far, so that an interrupted run leaves what it has."""
    if to is None:
        return
    report = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cpus": os.cpu_count(),
            "processor": platform.machine(),
            "system": platform.platform(),
            "python": platform.python_version(),
        },
        "results": [{**asdict(one), "problems": one.problems()} for one in results],
    }
    to.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
