"""What a report says, before it is a page."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from importlib.metadata import version as library_version
from typing import Any, Final

import pyarrow as pa

from models.manifest import Manifest, plain
from models.taxonomy import Path
from training.comparison import Comparison
from training.confusions import Confusion, worst_confusions
from training.evaluation import Evaluation, evaluate
from training.intervals import Share
from training.labels import TrainedLabels
from training.outcomes import Outcomes
from training.reports.figures import thinned
from training.risk_coverage import RiskCoverage, risk_coverage
from training.slices import Slice, slices_of
from training.true_paths import paths_of

REPORT_FORMAT: Final = 1
"""Of `report.json`: raised when a field changes its meaning or goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackedOff:
    """Products that were published with an ancestor of the likeliest leaf."""

    path: Path
    right: Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that page, card and JSON say.

    Attributes:
        manifest: of the bundle.
        measured_on: which products were measured, as the end of the sentence "measured on …".
        evaluation: the figures.
        accuracy, coverage, precision: three of them with their intervals.
        backed_off: what was published with an ancestor, most products first.
        confusions: worst first.
        slices: of the same products.
        curves: what other thresholds would do, of few enough points to draw.
        comparison: with an older model; None without one, and `comparison_note` may say why.
        merged: each category that is trained as an ancestor, and that ancestor.
        excluded: each category that is left out, and its number of products.
        software: versions of what wrote the report.
    """

    manifest: Manifest
    measured_on: str
    evaluation: Evaluation
    accuracy: Share
    coverage: Share
    precision: Share
    backed_off: tuple[BackedOff, ...]
    confusions: tuple[Confusion, ...]
    slices: tuple[Slice, ...]
    curves: RiskCoverage
    comparison: Comparison | None
    comparison_note: str | None
    merged: Mapping[Path, Path]
    excluded: Mapping[Path, int]
    software: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON; numbers that are not finite are null."""
        document = {field.name: _as_json(getattr(self, field.name)) for field in fields(self)}
        document["report_format"] = REPORT_FORMAT
        return document


def build_report(
    manifest: Manifest,
    outcomes: Outcomes,
    products: pa.Table,
    *,
    measured_on: str,
    comparison: Comparison | None = None,
    comparison_note: str | None = None,
    labels: TrainedLabels | None = None,
) -> Report:
    """Count all that a report says.

    `outcomes` are those of the bundle that has the `manifest`, on `products`, in the same order; `labels` are
    known when it has just been trained. Pure.
    """
    evaluation = evaluate(outcomes)
    published = outcomes.is_published
    curves = risk_coverage(outcomes.probabilities, outcomes.truth, outcomes.taxonomy)
    return Report(
        manifest=manifest,
        measured_on=measured_on,
        evaluation=evaluation,
        accuracy=Share(n=len(outcomes), right=int(outcomes.is_right.sum())),
        coverage=Share(n=len(outcomes), right=int(published.sum())),
        precision=Share(n=int(published.sum()), right=int(outcomes.is_true[published].sum())),
        backed_off=_backed_off(outcomes),
        confusions=worst_confusions(outcomes, products),
        slices=slices_of(outcomes, products),
        curves=RiskCoverage(
            leaf=thinned(curves.leaf, len(outcomes)), any_level=thinned(curves.any_level, len(outcomes))
        ),
        comparison=comparison,
        comparison_note=comparison_note,
        merged={} if labels is None else labels.merged,
        excluded={} if labels is None else labels.excluded,
        software={"sortline": library_version("sortline"), "python": platform.python_version()},
    )


def _backed_off(outcomes: Outcomes) -> tuple[BackedOff, ...]:
    rows = outcomes.decided("backed_off")
    counts: dict[Path, list[bool]] = {}
    paths = paths_of(outcomes.decisions["category_path"].filter(pa.array(rows)))
    for path, is_true in zip(paths, outcomes.is_true[rows].tolist(), strict=True):
        counts.setdefault(path, []).append(is_true)
    found = [BackedOff(path=path, right=Share(n=len(one), right=sum(one))) for path, one in counts.items()]
    return tuple(sorted(found, key=lambda one: (-one.right.n, one.path)))


def _as_json(value: object) -> object:
    if isinstance(value, Evaluation | Share):
        return plain(value.to_json())
    if is_dataclass(value):
        return {field.name: _as_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {" > ".join(key) if isinstance(key, tuple) else key: _as_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(one) for one in value]
    return plain(value)
