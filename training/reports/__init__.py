"""The report of a model: what it is, how good, where not, and what it was made of.

As a page for people (`report.html`), as a model card (`model-card.md`) and as JSON, all of the same `Report`.
"""

from training.reports.champions import Champion, find_champion
from training.reports.contents import Report, build_report
from training.reports.files import render, write_report
from training.reports.trained import report_of_training

__all__ = [
    "Champion",
    "Report",
    "build_report",
    "find_champion",
    "render",
    "report_of_training",
    "write_report",
]
