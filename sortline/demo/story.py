"""The story of the demo, step by step; what it starts is ended in reverse order, whatever happens."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from compose.services import Endpoints
from schemas.errors import SortlineError
from schemas.product_records import encoder_for
from schemas.registry import ConfluentRegistry
from schemas.topics import TopicNames
from sortline.demo.events import DemoEvents, demo_events, unseen_products
from sortline.demo.narration import Narrator
from sortline.demo.outcomes import Outcomes
from sortline.demo.report import Watched, live_table, show_dead_letters, show_event, show_review, show_summary
from sortline.demo.surroundings import (
    WorkerProcess,
    all_ended,
    fresh_stack,
    own_topics,
    sigterm_as_interrupt,
    workspace,
)
from sortline.demo.watch import Watcher
from sortline.product_producer import Deliveries, flush_all, open_producer, produce_table, send
from sortline.settings import SortlineSettings

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console

SEED: Final = 7
#: The first events are sent slowly enough to be read as they come out.
_SLOW_EVENTS: Final = 20
_SLOW_PAUSE_SECONDS: Final = 0.1
#: If nothing more arrives for so long, it never will.
_QUIET_SECONDS: Final = 30.0


def tell(
    settings: SortlineSettings, console: Console, *, events: int, rows: int | None, use_running: bool
) -> None:
    """Run the demo; returns only if every event was accounted for.

    Raises SortlineError otherwise, and whatever keeps a step from working.
    """
    started = time.monotonic()
    narrator = Narrator(console)
    with sigterm_as_interrupt(), all_ended() as ends:
        folder = ends.enter_context(workspace())
        if use_running:
            place = Endpoints(bootstrap=settings.bootstrap, registry_url=settings.registry_url)
            names = TopicNames.with_prefix(f"{settings.topic_prefix}demo-{uuid.uuid4().hex[:8]}.")
        else:
            place = ends.enter_context(fresh_stack(settings, folder / "stack", narrator))
            names = TopicNames()
        registry = ConfluentRegistry(place.registry_url)
        ends.callback(registry.close)
        ends.enter_context(own_topics(place, registry, names, narrator, remove=use_running))
        catalog = _load_catalog(place, registry, names, narrator, rows=rows)
        bundle = _train(place, registry, names, narrator, folder=folder)
        unseen = unseen_products(catalog, seed=SEED, rows=events)
        sent = demo_events(unseen, encoder_for(names.created, labelled=False, registry=registry))
        watcher = ends.enter_context(Watcher(names, place.bootstrap, registry))
        worker = ends.enter_context(_worker(bundle, place, names, narrator, folder=folder))
        watched = _send_and_watch(sent, place, names, narrator, watcher, worker, console)
        show_review(watched.outcomes, sent, console)
        show_dead_letters(watched.outcomes, console)
        show_summary(watched, sent, console)
    narrator.say()
    narrator.say(f"The whole demo took {time.monotonic() - started:.0f} s; everything it started is ended.")
    missing = len(sent.records) - watched.outcomes.total
    if missing:
        raise SortlineError(f"{missing:,} of {len(sent.records):,} events are not accounted for")


def _load_catalog(
    place: Endpoints, registry: ConfluentRegistry, names: TopicNames, narrator: Narrator, *, rows: int | None
) -> pa.Table:
    from schemas.product_files import read_products
    from sortline.demo.events import sample_catalog_path

    with narrator.step("Loading the sample catalogue") as step:
        catalog = whole = read_products(sample_catalog_path(), labelled=True)
        if rows is not None and rows < whole.num_rows:
            # Spread over the file, which is sorted by category.
            catalog = whole.take(np.linspace(0, whole.num_rows - 1, rows).astype(np.int64))
        report = produce_table(
            catalog,
            topic=names.catalog,
            labelled=True,
            bootstrap=place.bootstrap,
            registry=registry,
        )
        if report.failed:
            raise SortlineError(f"{report.failed:,} products were not delivered: {report.first_failure}")
        of_all = "" if catalog is whole else f" of {whole.num_rows:,}"
        step.done = f"{report.delivered:,}{of_all} labelled products are in {names.catalog}"
    return catalog


def _train(
    place: Endpoints, registry: ConfluentRegistry, names: TopicNames, narrator: Narrator, *, folder: Path
) -> Path:
    from training.fit import fit_bundle
    from training.snapshot import take_snapshot

    bundle = folder / "bundle"
    with narrator.step("Reading the catalogue topic from the beginning to its end") as step:
        snapshot = take_snapshot(
            bootstrap=place.bootstrap,
            registry=registry,
            topic=names.catalog,
            to=folder / "catalog.parquet",
            progress=step,
        )
        step.done = f"Snapshot of the catalogue topic: {snapshot.lineage.rows:,} products"
    with narrator.step("Training the model") as step:
        result = fit_bundle(
            snapshot.products,
            profile="text",
            seed=SEED,
            to=bundle,
            lineage={**snapshot.lineage.to_json()},
            tracking_uri=None,
            progress=step,
        )
        step.done = (
            f"Model {result.manifest.version}: accuracy {result.evaluation.accuracy:.3f}, "
            f"macro-F1 {result.evaluation.macro_f1:.3f} on the test part"
        )
    return bundle


@contextmanager
def _worker(
    bundle: Path, place: Endpoints, names: TopicNames, narrator: Narrator, *, folder: Path
) -> Iterator[WorkerProcess]:
    prefix = names.created.removesuffix(TopicNames().created)
    options = ["--model", str(bundle), "--bootstrap", place.bootstrap, "--registry", place.registry_url]
    options += [
        "--group-id",
        f"sortline-demo-{uuid.uuid4().hex[:8]}",
        *(["--topic-prefix", prefix] if prefix else []),
    ]
    worker = None
    try:
        with narrator.step("Starting a worker") as step:
            worker = WorkerProcess(options, log=folder / "worker.log")
            worker.wait_until_ready()
            step.done = f"A worker (process {worker.pid}) is ready"
        yield worker
    finally:
        if worker is not None:
            with narrator.step("Ending the worker") as step:
                step.done = f"The worker is ended (exit code {worker.stop()})"


def _send_and_watch(
    sent: DemoEvents,
    place: Endpoints,
    names: TopicNames,
    narrator: Narrator,
    watcher: Watcher,
    worker: WorkerProcess,
    console: Console,
) -> Watched:
    producer = open_producer(place.bootstrap)
    deliveries = Deliveries()
    outcomes = Outcomes(names)
    narrator.say()
    narrator.say("Events as they are categorized (products that the model was not trained on):", style="bold")
    table = live_table(console)
    for record in sent.records[:_SLOW_EVENTS]:
        send(producer, names.created, [record], deliveries)
        for row in watcher.poll(_SLOW_PAUSE_SECONDS):
            if outcomes.add(row):
                show_event(row, sent, table)
    rest = sent.records[_SLOW_EVENTS:]
    while outcomes.total < _SLOW_EVENTS and not watcher.quiet_for(_QUIET_SECONDS):
        worker.require_alive()
        for row in watcher.poll(_SLOW_PAUSE_SECONDS):
            if outcomes.add(row):
                show_event(row, sent, table)
    narrator.say(f"... and {len(rest):,} more at once")
    started = time.monotonic()
    send(producer, names.created, rest, deliveries)
    flush_all(producer, deliveries)
    watcher.begin()
    while outcomes.total < len(sent.records) and not watcher.quiet_for(_QUIET_SECONDS):
        worker.require_alive()
        for row in watcher.poll(_SLOW_PAUSE_SECONDS):
            outcomes.add(row)
    if deliveries.failed:
        reason = next(iter(deliveries.failures))
        raise SortlineError(f"{deliveries.failed:,} events did not reach {names.created}: {reason}")
    return Watched(outcomes=outcomes, n_fast=len(rest), fast_seconds=watcher.last_arrival - started)
