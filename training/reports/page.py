"""The report as one HTML page: no script, nothing from elsewhere, every foreign text escaped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path as FilePath
from typing import Any, Final

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from models.taxonomy import Path
from schemas.printable import printable
from training.comparison import FATES, Fate
from training.evaluation import ClassScore
from training.intervals import Share
from training.reports.contents import Report
from training.reports.figures import CLASSES_SHOWN, draw_confusion, draw_reliability, draw_risk_coverage
from training.reports.provenance import lineage_facts, model_facts, offset_rows

TEMPLATES: Final = FilePath(__file__).with_name("templates")
#: More categories are shown only on demand, after those that lose most products.
_CATEGORIES_OPEN: Final = 40
_CATEGORIES_WORST: Final = 20
#: Rows of the full table: each takes 400 bytes, and nobody reads more. `report.json` has all.
_CATEGORIES_LISTED: Final = 1_000
#: Categories without a class that are named; the card has their number.
_UNTRAINED_NAMED: Final = 200
_CHANGES_SHOWN: Final = 15
_CURVE_ROWS: Final = 20
_FATE_NAMES: Final[Mapping[Fate, str]] = {
    "right": "published, right",
    "wrong": "published, wrong",
    "review": "to review",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Categories:
    """The classes that have products: `worst` is empty where all fit on the page."""

    tested: tuple[ClassScore, ...]
    worst: tuple[ClassScore, ...]
    untested: tuple[ClassScore, ...]


def render_page(report: Report) -> str:
    """Return the page."""
    evaluation, comparison, target = report.evaluation, report.comparison, report.manifest.target_precision
    changes = [] if comparison is None else [one for one in comparison.categories if one.gain]
    values = {
        "report": report,
        "evaluation": evaluation,
        "manifest": report.manifest,
        "comparison": comparison,
        "categories": categories_of(report),
        "changed_categories": sorted(changes, key=lambda one: -abs(one.gain or 0))[:_CHANGES_SHOWN],
        "n_changed_categories": len(changes),
        "classes_shown": CLASSES_SHOWN,
        "categories_listed": _CATEGORIES_LISTED,
        "untrained": _untrained(report)[:_UNTRAINED_NAMED],
        "n_untrained": len(report.merged) + len(report.excluded),
        "matrix": draw_confusion(evaluation),
        "reliability": draw_reliability(evaluation),
        "risk_coverage": draw_risk_coverage(report.curves, evaluation, target_precision=target),
        "curve_rows": _curve_rows(report),
        "is_low": partial(_is_low, target),
        "fates": FATES,
        "fate_names": _FATE_NAMES,
        "lineage_facts": lineage_facts(report),
        "offsets": offset_rows(report),
        "model_facts": model_facts(report),
    }
    return html_environment().get_template("report.html.j2").render(values)


def categories_of(report: Report) -> Categories:
    """Sort the classes: those with products by their number, the worst by the products that they lose."""
    classes = report.evaluation.classes
    tested = sorted((one for one in classes if one.support), key=lambda one: (-one.support, one.path))
    worst = sorted(tested, key=lambda one: (-one.support * (1 - one.recall), one.path))
    return Categories(
        tested=tuple(tested),
        worst=tuple(worst[:_CATEGORIES_WORST]) if len(tested) > _CATEGORIES_OPEN else (),
        untested=tuple(one for one in classes if not one.support),
    )


def _untrained(report: Report) -> list[tuple[Path, Path | None, int]]:
    """Return each category that is no class, with the ancestor that it is trained as, or its products if none."""
    merged: list[tuple[Path, Path | None, int]] = [(path, parent, 0) for path, parent in report.merged.items()]
    return [*merged, *((path, None, n) for path, n in report.excluded.items())]


def _curve_rows(report: Report) -> list[tuple[float, float, float]]:
    curve = report.curves.any_level
    chosen = np.unique(np.linspace(0, max(len(curve.coverage) - 1, 0), _CURVE_ROWS).astype(np.int64))
    columns = (column[chosen[: len(column)]].tolist() for column in (curve.threshold, curve.coverage, curve.risk))
    return list(zip(*columns, strict=True))


def _is_low(target_precision: float | None, one: ClassScore) -> bool:
    """Say whether what is accepted as the class is certainly less often right than wanted."""
    if target_precision is None or one.published_precision is None:
        return False
    right = round(one.published_precision * one.published)
    return Share(n=one.published, right=right).high < target_precision


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share as people read it, such as 93.2 % for 0.9321; a dash where there is none."""
    return "–" if share is None else f"{100 * share:.{digits}f} %".replace(" ", "\N{NO-BREAK SPACE}")


def points(difference: float | None, digits: int = 1) -> str:
    """Return a difference of two shares in points, with its sign.

    >>> points(-0.0123), points(0.0)
    ('−1.2', '±0.0')
    """
    if difference is None:
        return "–"
    rounded = round(100 * difference, digits)
    sign = "+" if rounded > 0 else "−" if rounded < 0 else "±"
    return f"{sign}{abs(rounded):.{digits}f}"


def path_text(path: Path) -> str:
    """Return a path on one line."""
    return " > ".join(path)


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "percent": percent,
    "points": points,
    "path": path_text,
    "count": "{:,}".format,
}


@cache
def html_environment(folder: FilePath = TEMPLATES) -> Environment:
    """Return what renders the pages of a folder; they may include what is in ours, such as the style."""
    environment = Environment(
        loader=FileSystemLoader([folder, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    return environment


def _harmless(value: object) -> object:
    """Take out of a text what would reorder the page around it; autoescape does the rest."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
