"""From a registered version to the champion that workers run, through the gate; and back.

The rows that the two are compared on come from the runs (`training.held_out_rows`), the decision from
`training.gate`, the order of champions from `training.champion_history`.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa

from models.bundle import load_bundle, read_manifest
from models.classifier import Classifier
from models.manifest import Manifest
from models.mlflow_store import mlflow_client
from models.registry import RegisteredVersion, fetch_bundle, load_registered
from models.taxonomy import Path as CategoryPath
from schemas.errors import BundleError, DependencyUnavailableError, SetupError
from training.champion_history import Standing, list_versions, move_champion, promotion_lock, read_standing
from training.comparison import Comparison, compare
from training.evaluation import evaluate_classifier
from training.gate import (
    Against,
    Candidate,
    CategoryFigures,
    Check,
    Limits,
    RowsFigures,
    judge_against,
    judge_alone,
)
from training.held_out_rows import fair_rows, fetch_test_rows, relabelled
from training.progress import Progress
from training.taxonomy_change import TaxonomyChange, taxonomy_change
from training.true_paths import paths_of

Outcome = Literal["promoted", "forced", "refused", "already champion"]

GATE: Final = "sortline.gate"
"""Tag of a version: the outcome, or `passed` for one that passed and was not promoted after all.

`.at`, `.against`, `.failed` and `.reason` beside it tell the rest.
"""

_TAG_LENGTH: Final = 4_000  # MLflow's limit is 5,000 characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """What became of a wish to promote a version.

    Attributes:
        name, version: of the candidate in MLflow.
        content_version: of its bundle.
        champion: the version it was judged against; None if it was the first.
        outcome: only the first two have moved the alias.
        checks: what was asked, in order.
        change: of the categories; None if nothing was compared.
        reason: what was given with `force_reason`, where that was needed.
    """

    name: str
    version: int
    content_version: str
    champion: int | None
    outcome: Outcome
    checks: tuple[Check, ...]
    change: TaxonomyChange | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    """A version that was fetched and loaded, with its test rows."""

    row: RegisteredVersion
    classifier: Classifier
    manifest: Manifest
    test: pa.Table | None


def promote(
    name: str,
    version: int,
    *,
    tracking_uri: str,
    progress: Progress,
    limits: Limits | None = None,
    allow_taxonomy_change: bool = False,
    force_reason: str | None = None,
) -> Promotion:
    """Judge a version and, if it passes, let `models:/<name>@champion` mean it.

    What was found is kept as tags of the version and as `gate/<time>.json` of its run, whatever the outcome. With
    `force_reason` a version that fails is promoted all the same, and the reason kept; not one whose bundle does
    not load here, which no worker could run.

    Raises SetupError if there is no such version, DependencyUnavailableError if MLflow does not answer, if
    somebody else is promoting, or if the champion changed meanwhile: nothing has moved then, unless it was the
    answer to the very request that moves the alias that got lost.
    """
    with mlflow_client(tracking_uri) as client:
        row = find_version(list_versions(client, name), name, version)
        standing = read_standing(client, name)
        if standing.champion == version:
            return Promotion(
                name=name,
                version=version,
                content_version=row.content_version,
                champion=version,
                outcome="already champion",
                checks=(),
                change=None,
                reason=None,
            )
        checks, change, loads = _judge(
            client, row, standing, tracking_uri, progress, limits or Limits(), allow_taxonomy_change
        )
        passed = all(check.passed for check in checks)
        is_forced = not passed and loads and force_reason is not None
        promotion = Promotion(
            name=name,
            version=version,
            content_version=row.content_version,
            champion=standing.champion,
            outcome="promoted" if passed else "forced" if is_forced else "refused",
            checks=checks,
            change=change,
            reason=force_reason if is_forced else None,
        )
        progress.step("Recording the verdict")
        find_version(list_versions(client, name), name, version)  # it may have been deleted meanwhile
        _record(client, row, promotion)
        if promotion.outcome != "refused":
            with promotion_lock(client, name):
                _require_unchanged(client, name, standing, version)
                former = standing.former if standing.champion is None else (*standing.former, standing.champion)
                move_champion(client, name, version, former=former)
            client.set_model_version_tag(name, str(version), GATE, promotion.outcome)
    return promotion


def rollback(
    name: str, *, tracking_uri: str, progress: Progress, reason: str | None = None
) -> tuple[int | None, int]:
    """Make the previous champion the champion again; return the version that was it and the one that is it now.

    Again and again it goes back, promotion by promotion; versions deleted since are passed over. The gate is not
    asked, but the bundle must load here.

    Raises SetupError if there is nothing to go back to, BundleError if that bundle does not load, and
    DependencyUnavailableError as `promote` does.
    """
    with mlflow_client(tracking_uri) as client:
        standing = read_standing(client, name)
        if not standing.former:
            raise SetupError(
                f"{name} has no earlier champion to go back to: promote a version, `sortline models list` shows "
                "them."
            )
        *former, target = standing.former
        progress.step(f"Loading version {target}")
        load_registered(f"models:/{name}/{target}", tracking_uri=tracking_uri)
        with promotion_lock(client, name):
            _require_unchanged(client, name, standing, target)
            move_champion(client, name, target, former=former)
        if standing.champion is not None:
            client.set_model_version_tag(name, str(standing.champion), "sortline.rolled_back.at", _now())
            if reason is not None:
                client.set_model_version_tag(
                    name, str(standing.champion), "sortline.rolled_back.reason", reason[:_TAG_LENGTH]
                )
    return standing.champion, target


def find_version(rows: list[RegisteredVersion], name: str, version: int) -> RegisteredVersion:
    """Return the version of this number. SetupError, which names those there are, if there is none."""
    for row in rows:
        if row.number == version:
            return row
    there = ", ".join(str(row.number) for row in rows) or "none"
    raise SetupError(f"{name} has no version {version}, or not any more; there are: {there}.")


def _judge(
    client: Any,
    row: RegisteredVersion,
    standing: Standing,
    tracking_uri: str,
    progress: Progress,
    limits: Limits,
    allow_taxonomy_change: bool,
) -> tuple[tuple[Check, ...], TaxonomyChange | None, bool]:
    """Return the checks, the change of categories, and whether the candidate's bundle loads at all."""
    wanted = "a bundle that this program loads, byte for byte as it was registered"
    with tempfile.TemporaryDirectory(prefix="sortline-") as folder:
        progress.step(f"Loading version {row.number}")
        try:
            candidate = _load(row, Path(folder, "candidate"), tracking_uri)
        except BundleError as error:
            return (Check(name="bundle", passed=False, found=str(error), wanted=wanted),), None, False
        fingerprint = candidate.manifest.feature_fingerprint[:12]
        checks = [Check(name="bundle", passed=True, found=f"loads, features {fingerprint}", wanted=wanted)]
        if candidate.test is None:
            found = "its run keeps no test rows"
            checks.append(Check(name="test rows", passed=False, found=found, wanted="a run of `sortline train`"))
            return tuple(checks), None, True
        progress.step("Evaluating it")
        alone = Candidate(
            evaluation=evaluate_classifier(candidate.classifier, candidate.test),
            target_precision=candidate.manifest.target_precision,
        )
        checks += judge_alone(alone, limits)
        if standing.champion is None:
            if standing.former:
                found = (
                    f"none, though version {standing.former[-1]} was promoted: it was deleted, or lost its alias"
                )
                checks.append(
                    Check(name="champion", passed=False, found=found, wanted="`sortline models rollback` first")
                )
            return tuple(checks), None, True
        progress.step(f"Comparing it with version {standing.champion}")
        try:
            champion = _load(
                find_version(list_versions(client, row.name), row.name, standing.champion),
                Path(folder, "champion"),
                tracking_uri,
            )
            against = _compare(champion, candidate)
        except SetupError as error:
            checks.append(
                Check(name="champion", passed=False, found=str(error), wanted="a champion to compare with")
            )
            return tuple(checks), None, True
    checks += judge_against(against, limits, allow_taxonomy_change=allow_taxonomy_change)
    return tuple(checks), against.taxonomy, True


def _load(row: RegisteredVersion, to: Path, tracking_uri: str) -> _Model:
    bundle = fetch_bundle(row.uri, to, tracking_uri=tracking_uri)
    return _Model(
        row=row,
        classifier=load_bundle(bundle),
        manifest=read_manifest(bundle),
        test=fetch_test_rows(row.run_id, tracking_uri=tracking_uri),
    )


def _compare(champion: _Model, candidate: _Model) -> Against:
    assert candidate.test is not None
    own, newer = fair_rows(
        champion.test,
        candidate.test,
        champion_lineage=champion.manifest.lineage,
        candidate_lineage=candidate.manifest.lineage,
    )
    change = taxonomy_change(
        champion.manifest.labels,
        candidate.manifest.labels,
        () if champion.test is None else relabelled(champion.test, candidate.test),
    )
    # What is true of them the candidate cannot say any more: the taxonomy is asked about that, not the figures.
    own = _without(own, {*change.removed, *(before for before, _ in change.renamed)})
    return Against(
        own=_figures(champion, candidate, own), newer=_figures(champion, candidate, newer), taxonomy=change
    )


def _without(rows: pa.Table, gone: set[CategoryPath]) -> pa.Table:
    is_kept = [not any(path[: len(one)] == one for one in gone) for path in paths_of(rows["category_path"])]
    return rows.filter(pa.array(np.array(is_kept, np.bool_)))


def _figures(champion: _Model, candidate: _Model, rows: pa.Table) -> RowsFigures | None:
    if not rows.num_rows:
        return None
    return figures_of(compare(champion.classifier, candidate.classifier, rows, n_examples=0))


def figures_of(comparison: Comparison) -> RowsFigures:
    """Return of a comparison what the gate looks at."""
    figures = {one.name: (one.champion, one.candidate) for one in comparison.figures}
    return RowsFigures(
        n=comparison.n,
        accuracy=figures["accuracy" if comparison.same_classes else "exact_accuracy"],
        coverage=figures["coverage"],
        p_value=comparison.p_value,
        categories=tuple(
            CategoryFigures(
                path=one.path,
                n=min(one.champion.support, one.candidate.support),
                champion=one.champion.recall,
                candidate=one.candidate.recall,
            )
            for one in comparison.categories
            if one.champion is not None and one.candidate is not None
        ),
    )


def _require_unchanged(client: Any, name: str, judged: Standing, version: int) -> None:
    now = read_standing(client, name)
    if now.champion != judged.champion:
        before, after = ("none" if one.champion is None else f"version {one.champion}" for one in (judged, now))
        raise DependencyUnavailableError(
            f"The champion of {name} was {before} when this began and is {after} now: version {version} was not "
            "promoted, run the command again."
        )


def _record(client: Any, row: RegisteredVersion, promotion: Promotion) -> None:
    now = _now()
    failed = "; ".join(
        f"{one.name}: {one.found}, wanted {one.wanted}" for one in promotion.checks if not one.passed
    )
    tags = {
        GATE: "refused" if promotion.outcome == "refused" else "passed",  # until the alias has moved
        f"{GATE}.at": now,
        f"{GATE}.against": "" if promotion.champion is None else str(promotion.champion),
        f"{GATE}.failed": failed,
        f"{GATE}.reason": promotion.reason or "",
    }
    for key, value in tags.items():
        client.set_model_version_tag(row.name, str(row.number), key, value[:_TAG_LENGTH])
    if row.run_id is not None:
        client.log_dict(row.run_id, to_json(promotion, at=now), f"gate/{now.replace(':', '')}.json")


def to_json(promotion: Promotion, *, at: str) -> dict[str, Any]:
    """Return everything about a promotion as plain JSON values."""
    document: dict[str, Any] = json.loads(json.dumps(asdict(promotion)))
    return {"at": at, **document}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
