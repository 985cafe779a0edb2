"""The model card: a page of Markdown to keep beside a model, by the same figures as the report."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from schemas.printable import printable
from training.reports.contents import Report
from training.reports.page import FILTERS, TEMPLATES, categories_of
from training.reports.provenance import lineage_facts, model_facts, offset_rows
from training.slices import Slice

#: Fewer products say little about a category.
_FEW_PRODUCTS: Final = 30
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>#|~!&])")
_WORST: Final = 5


def render_card(report: Report) -> str:
    """Return the card."""
    categories = categories_of(report)
    enough = [one for one in categories.tested if one.support >= _FEW_PRODUCTS]
    text = (
        _environment()
        .get_template("model-card.md.j2")
        .render(
            report=report,
            evaluation=report.evaluation,
            manifest=report.manifest,
            categories=categories,
            weakest=sorted(enough, key=lambda one: (one.f1, one.path))[:_WORST],
            few=[one for one in categories.tested if one.support < _FEW_PRODUCTS],
            weak_slices=weak_slices(report),
            lineage_facts=lineage_facts(report),
            offsets=offset_rows(report),
            model_facts=model_facts(report),
        )
    )
    return re.sub(r"\n{3,}", "\n\n", text)


def weak_slices(report: Report) -> list[Slice]:
    """Return the slices whose published precision is certainly below that of all: not by chance alone."""
    overall = report.precision.value
    return [] if overall is None else [one for one in report.slices if one.precision.high < overall]


def escape_markdown(text: str) -> str:
    r"""Return the text so that Markdown shows it as it is.

    >>> escape_markdown("a|b <script> _x_")
    'a\\|b \\<script\\> \\_x\\_'
    """
    return _SPECIAL.sub(r"\\\1", printable(text))


@cache
def _environment() -> Environment:
    # Autoescape is for HTML; here everything is escaped for Markdown, by `finalize`.
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=False,
        undefined=StrictUndefined,
        finalize=lambda value: escape_markdown(value) if isinstance(value, str) else value,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(FILTERS)
    return environment
