"""The comparison as one HTML page, in the style of a model's report: no script, every foreign text escaped."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from schemas.errors import SetupError
from sortline.replay.decisions import KINDS, N_DECIDED, REVIEW
from sortline.replay.display import agreement_share, move_text, places_text, summary
from sortline.replay.run import ReplayReport
from training.reports.files import write_file
from training.reports.page import html_environment

_TEMPLATES: Final = Path(__file__).with_name("templates")
_REVIEW: Final = KINDS[REVIEW]
_PUBLISHED: Final = tuple(kind for kind in KINDS[:N_DECIDED] if kind != _REVIEW)
_PLACES_SHOWN: Final = 200


def render_page(report: ReplayReport) -> str:
    """Return the page of a replay that was compared; ValueError if it was not."""
    difference = report.difference
    if difference is None:
        raise ValueError("the replay was not compared with what was published")
    counts = difference.counts
    environment = html_environment(_TEMPLATES)
    environment.filters["move"] = move_text
    environment.filters["places"] = lambda places: places_text(places, most=_PLACES_SHOWN)
    return environment.get_template("replay.html.j2").render(
        report=report,
        agreement=agreement_share(difference),
        facts=summary(report),
        rows=[kind for kind in KINDS if any(before == kind for before, _ in counts)],
        columns=[kind for kind in KINDS if any(now == kind for _, now in counts)],
        n_to_review=sum(counts.get((kind, _REVIEW), 0) for kind in _PUBLISHED),
        n_from_review=sum(counts.get((_REVIEW, kind), 0) for kind in _PUBLISHED),
        n_moved=difference.n_moved,
    )


def write_page(report: ReplayReport, to: Path) -> None:
    """Write the page, whole or not at all. Raises SetupError if that is impossible."""
    write_file(render_page(report), to)


def check_page(to: Path) -> None:
    """Raise SetupError if the page cannot go there: better before the work than after it."""
    if to.suffix.lower() not in (".html", ".htm"):
        raise SetupError(f"option --html: {to.name} must end in .html")
