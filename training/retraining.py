"""A retraining from the catalogue topic, step by step: look, snapshot, count, fit, register, promote.

    look ─ nothing to do
     └─ snapshot ─ count ─ nothing to do
                     ├─ fit and evaluate ─ register ─┬─ promote
                     └─ was trained already ─────────┘

Nothing that others read changes before a step has come to its end: the bundle's folder is exchanged when the new
bundle is whole, a version is registered with its tags in one call, and the champion moves last. A step that is
tried again finds what it did before: a bundle is registered once, however often it is asked for.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from features.spec import Profile
from models.bundle import read_manifest
from models.registry import (
    CHAMPION,
    CONTENT_DIGEST,
    RegisteredVersion,
    fetch_bundle,
    find_alias,
    version_trained_on,
    version_with_content,
)
from schemas.errors import BundleError, DependencyUnavailableError
from schemas.registry import ConfluentRegistry
from training.compacted_topic import read_bounds
from training.fit import DEFAULT_MIN_PRODUCTS, DEFAULT_TARGET_PRECISION, TrainingResult, fit_bundle, log_result
from training.progress import Progress
from training.promotion import GATE, Promotion
from training.retrain import (
    ASKED_FOR,
    Action,
    Bounds,
    Champion,
    Decision,
    champion_of,
    decide_by_labels,
    decide_by_offsets,
)
from training.row_digests import LabelChanges, changes_between, fetch_row_digests, row_digests
from training.snapshot import Snapshot, take_snapshot, write_snapshot

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where everything is: Kafka, the schema registry, the catalogue's topic, and MLflow."""

    bootstrap: str
    registry_url: str
    topic: str
    tracking_uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainRequest:
    """What is wanted.

    Attributes:
        to: folder of the bundle; its report and its snapshot come to lie beside it.
        name: of the registered model, whose champion is looked at.
        only_if_changed: stop where the labels have not changed enough.
        min_new: so many new, changed and removed labels are enough.
        profile, seed, min_products, target_precision: as for `fit_bundle`.
    """

    to: Path
    name: str = "sortline"
    only_if_changed: bool = False
    min_new: int = 1
    profile: Profile = "text"
    seed: int = 7
    min_products: int = DEFAULT_MIN_PRODUCTS
    target_precision: float = DEFAULT_TARGET_PRECISION

    @property
    def snapshot(self) -> Path:
        """The file of the products that the bundle was trained on."""
        return self.to.with_name(f"{self.to.name}.snapshot.parquet")

    @property
    def report(self) -> Path:
        """The folder of its report."""
        return self.to.with_name(f"{self.to.name}.report")


Promoter = Callable[[str, int], Promotion]
"""Promotes a version of a registered model if the gate lets it pass."""


class StepRunner(Protocol):
    """Runs a step: at once, or as a task of a scheduler, which may try it again."""

    def __call__(self, name: str, step: Callable[[], _T]) -> _T:
        """Return what the step returns; what it raises in the end is raised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the first step found.

    Attributes:
        champion: the model that runs, or None.
        bundle: its bundle, fetched; None if there is none or if it does not load.
        run_id: the run that trained it.
        bounds: of the topic's partitions.
        decision: on these alone.
    """

    champion: Champion | None
    bundle: Path | None
    run_id: str | None
    bounds: Bounds
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What the labels say.

    Attributes:
        changes: since the champion was trained; None where its run does not tell.
        trained_already: version that was trained on exactly these products, or None.
        decision: what follows.
    """

    changes: LabelChanges | None
    trained_already: int | None
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A version in MLflow; `is_new` unless the same bundle was registered before."""

    name: str
    version: int
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Retraining:
    """How it went; what was not reached is None."""

    look: Look
    decision: Decision
    snapshot: Snapshot | None = None
    count: Count | None = None
    trained: TrainingResult | None = None
    registered: Registered | None = None
    promotion: Promotion | None = None


def directly(name: str, step: Callable[[], _T]) -> _T:
    """Run a step at once, a single time."""
    del name
    return step()


def retrain(
    request: RetrainRequest,
    sources: Sources,
    progress: Progress,
    *,
    promote: Promoter | None = None,
    run: StepRunner = directly,
) -> Retraining:
    """Retrain from the topic, or find that there is nothing to do; with `promote` the champion moves, too.

    Raises SetupError if the topic is missing or its products cannot be trained on, DependencyUnavailableError if
    Kafka, the registry or MLflow does not answer. Champion and registered versions are then what they were, but
    for a version that was registered before its promotion failed.
    """
    with tempfile.TemporaryDirectory(prefix="sortline-retrain-") as folder:
        scratch = Path(folder)
        look = run("look for changes", lambda: look_for_changes(request, sources, scratch, progress))
        if look.decision.action is Action.NOTHING:
            return Retraining(look=look, decision=look.decision)
        snapshot = run("take a snapshot", lambda: _snapshot(sources, progress))
        count, decision = None, look.decision
        if request.only_if_changed:
            judges = promote is not None
            count = run(
                "count the labels",
                lambda: count_labels(look, snapshot, request, sources, progress, judges=judges),
            )
            decision = count.decision
        if decision.action is Action.NOTHING:
            return Retraining(look=look, decision=decision, snapshot=snapshot, count=count)
        trained = None
        if decision.action is Action.JUDGE and count is not None and count.trained_already is not None:
            registered = Registered(name=request.name, version=count.trained_already, is_new=False)
        else:
            fitted = run("fit and evaluate", lambda: fit(look, snapshot, request, progress))
            registered = run("register", lambda: register(fitted, sources, progress))
            trained = fitted
        promotion = None
        if promote is not None:
            promoter = promote
            promotion = run("promote", lambda: promoter(registered.name, registered.version))
    return Retraining(
        look=look,
        decision=decision,
        snapshot=snapshot,
        count=count,
        trained=trained,
        registered=registered,
        promotion=promotion,
    )


def look_for_changes(request: RetrainRequest, sources: Sources, scratch: Path, progress: Progress) -> Look:
    """Compare the topic's offsets with the champion's lineage; no record is read."""
    progress.step("Looking for changes")
    bounds = read_bounds(sources.bootstrap, sources.topic)
    row = find_alias(request.name, CHAMPION, sources.tracking_uri)
    champion, bundle = (None, None) if row is None else _fetched(row, sources, scratch)
    return Look(
        champion=champion,
        bundle=bundle,
        run_id=None if row is None else row.run_id,
        bounds=bounds,
        decision=decide_by_offsets(champion, bounds) if request.only_if_changed else ASKED_FOR,
    )


def count_labels(
    look: Look, snapshot: Snapshot, request: RetrainRequest, sources: Sources, progress: Progress, *, judges: bool
) -> Count:
    """Count what is new, changed and removed since the champion was trained, and decide; `judges`: to promote."""
    progress.step("Counting new labels")
    digest = snapshot.lineage.content_digest
    before = None
    if look.run_id is not None:
        before = fetch_row_digests(look.run_id, tracking_uri=sources.tracking_uri)
    changes = None if before is None else changes_between(before, row_digests(snapshot.products))
    if look.decision.action is Action.TRAIN and look.champion is not None:
        return Count(changes=changes, trained_already=None, decision=look.decision)
    same = version_trained_on(request.name, digest, sources.tracking_uri)
    decision = decide_by_labels(
        look.champion,
        changes,
        digest=digest,
        min_new=request.min_new,
        trained_already=None if same is None else same.number,
        is_judged=not judges or (same is not None and bool(same.tags.get(GATE))),
    )
    return Count(changes=changes, trained_already=None if same is None else same.number, decision=decision)


def fit(look: Look, snapshot: Snapshot, request: RetrainRequest, progress: Progress) -> TrainingResult:
    """Fit, calibrate, evaluate and report, as `sortline train` does; features are computed within."""
    result = fit_bundle(
        snapshot.products,
        profile=request.profile,
        seed=request.seed,
        to=request.to,
        lineage={**snapshot.lineage.to_json()},
        progress=progress,
        min_products=request.min_products,
        target_precision=request.target_precision,
        name=request.name,
        report_to=request.report,
        compare_with=look.bundle,
    )
    write_snapshot(snapshot, request.snapshot)
    return result


def register(trained: TrainingResult, sources: Sources, progress: Progress) -> Registered:
    """Log the run and register the bundle, unless the very same bundle is registered already."""
    name, content = trained.manifest.name, trained.manifest.version
    known = version_with_content(name, content, sources.tracking_uri)
    if known is not None:
        return Registered(name=name, version=known, is_new=False)
    log_result(trained, tracking_uri=sources.tracking_uri, progress=progress)
    version = version_with_content(name, content, sources.tracking_uri)
    if version is None:
        raise DependencyUnavailableError(
            f"MLflow registered {name} {content} and does not find it again: look at it, then run this again."
        )
    return Registered(name=name, version=version, is_new=True)


def _fetched(row: RegisteredVersion, sources: Sources, scratch: Path) -> tuple[Champion, Path | None]:
    try:
        bundle = fetch_bundle(row.uri, scratch / "champion", tracking_uri=sources.tracking_uri)
    except BundleError:
        digest = row.tags.get(CONTENT_DIGEST, "")
        return Champion(version=row.number, digest=digest, offsets=None, loads=False), None
    return champion_of(row.number, read_manifest(bundle).lineage, topic=sources.topic), bundle


def _snapshot(sources: Sources, progress: Progress) -> Snapshot:
    with closing(ConfluentRegistry(sources.registry_url)) as registry:
        return take_snapshot(
            bootstrap=sources.bootstrap,
            registry=registry,
            topic=sources.topic,
            to=None,
            progress=progress,
        )
