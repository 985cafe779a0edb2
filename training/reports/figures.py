"""The three pictures of a report: where classes are confused, what confidence means, what a threshold buys."""

from __future__ import annotations

from math import sqrt
from typing import Final

import numpy as np
from markupsafe import Markup

from training.evaluation import Evaluation
from training.intervals import Share
from training.reports.svg import Chart, Drawing
from training.risk_coverage import RiskCoverage, RiskCurve

#: More classes cannot be read in one picture: those with most products are shown.
CLASSES_SHOWN: Final = 30
_CELL: Final = 21
_LABEL: Final = 216
_LABEL_CHARACTERS: Final = 34
#: A curve of more points looks no different.
CURVE_POINTS: Final = 240
_LEAST_PUBLISHED: Final = 30


def draw_confusion(evaluation: Evaluation) -> Markup:
    """Draw the confusion matrix: each row is what became of the products of one class, in percent.

    Classes with products only, in the order of the taxonomy; with more than `CLASSES_SHOWN`, those with most
    products. A last column holds what was taken for a class not shown.
    """
    tested = [k for k, one in enumerate(evaluation.classes) if one.support]
    by_support = sorted(tested, key=lambda k: (-evaluation.classes[k].support, k))
    shown = sorted(by_support[:CLASSES_SHOWN])
    names = [" > ".join(evaluation.classes[k].path) for k in shown]
    place = np.full(len(evaluation.classes), len(shown))  # of those not shown: one row and column more
    place[shown] = np.arange(len(shown))
    true, predicted, counts = evaluation.confusion.T
    cells = np.zeros((len(shown) + 1, len(shown) + 1), np.int64)
    np.add.at(cells, (place[true], place[predicted]), counts)
    totals = cells.sum(axis=1)
    columns = [*names]
    if len(shown) < len(evaluation.classes):
        columns.append("any other")
    drawing = Drawing(
        _LABEL + _CELL * len(columns) + 8,
        _CELL * len(names) + _LABEL * 0.75,
        name=f"Confusion matrix of {len(shown)} classes; the list of confusions says the worst of it in words.",
        css_class="matrix",
    )
    for row, name in enumerate(names):
        middle = row * _CELL + _CELL / 2 + 4
        drawing.text(_short(name), "tick end", x=_LABEL - 6, y=middle)
        drawing.shape("rect", "row", x=_LABEL, y=row * _CELL, width=_CELL * len(columns), height=_CELL)
        total = int(totals[row])
        for column, n in enumerate(cells[row, : len(columns)].tolist()):
            if not n:
                continue
            x, y = _LABEL + column * _CELL, row * _CELL
            fate = "were right" if column == row else f"were taken for {columns[column]}"
            drawing.shape(
                "rect",
                "right" if column == row else "wrong",
                tip=f"{name}: {n:,} of {total:,} ({n / total:.1%}) {fate}",
                x=x,
                y=y,
                width=_CELL,
                height=_CELL,
                # The square root keeps a confusion of 2 % visible beside a diagonal of 98 %.
                fill_opacity=f"{sqrt(n / total):.3f}",
            )
            if n / total >= 0.01:
                css_class = "cell middle strong" if n / total > 0.55 else "cell middle"
                drawing.text(f"{100 * n / total:.0f}", css_class, x=x + _CELL / 2, y=y + _CELL / 2 + 3.5)
    for column, name in enumerate(columns):
        middle, below = _LABEL + column * _CELL + _CELL / 2 + 4, _CELL * len(names) + 8
        turned = f"rotate(-50 {middle:.1f} {below})"
        drawing.text(_short(name), "tick end", x=middle, y=below, transform=turned)
    return drawing.to_markup()


def draw_reliability(evaluation: Evaluation) -> Markup:
    """Draw how often products of about the same confidence were right, with 95 % intervals."""
    bins = evaluation.reliability
    shares = [Share(n=one.n, right=round(one.accuracy * one.n)) for one in bins]
    low = max(0.0, min(min(one.confidence for one in bins), min(share.low for share in shares)) - 0.02)
    chart = Chart(
        name=f"Reliability diagram. Calibration error {evaluation.ece:.4f}.",
        x=(low, 1.0),
        y=(low, 1.0),
        height=400,
    )
    chart.axes("mean confidence", "share that was right")
    chart.line([(low, low), (1, 1)], "ideal")
    for one, share in zip(bins, shares, strict=True):
        chart.line([(one.confidence, share.low), (one.confidence, share.high)], "interval")
    chart.line([(one.confidence, one.accuracy) for one in bins], "curve")
    for one, share in zip(bins, shares, strict=True):
        tip = (
            f"{one.n:,} products of confidence {one.confidence:.1%}: {one.accuracy:.1%} were right "
            f"({share.low:.1%} to {share.high:.1%})"
        )
        chart.point((one.confidence, one.accuracy), "dot", tip=tip)
    return chart.drawing.to_markup()


def draw_risk_coverage(curves: RiskCoverage, evaluation: Evaluation, *, target_precision: float | None) -> Markup:
    """Draw how much of what is published is wrong, against how much is published; and where the model stands."""
    risk = 1 - evaluation.precision if evaluation.coverage else 0.0
    wanted = 0.0 if target_precision is None else 1 - target_precision
    highest = max(curves.leaf.risk.max(initial=0), curves.any_level.risk.max(initial=0), risk, wanted, 0.005)
    chart = Chart(
        name=f"Risk and coverage. The model publishes {evaluation.coverage:.1%}, of which {risk:.1%} is wrong.",
        x=(0.0, 1.0),
        y=(0.0, min(1.0, float(highest) * 1.15)),
        height=400,
    )
    chart.axes("share that is published", "share of it that is wrong")
    if target_precision is not None:
        chart.line([(0, wanted), (1, wanted)], "ideal")
    for curve, css_class in ((curves.leaf, "curve second"), (curves.any_level, "curve")):
        chart.line(zip(curve.coverage.tolist(), curve.risk.tolist(), strict=True), css_class)
    tip = f"this model: {evaluation.coverage:.1%} published, {risk:.1%} of it wrong"
    chart.point((evaluation.coverage, risk), "dot here", tip=tip, radius=6)
    return chart.drawing.to_markup()


def thinned(curve: RiskCurve, n_rows: int) -> RiskCurve:
    """Return at most `CURVE_POINTS` of its points, about evenly spaced over the coverage, the last among them.

    Points of less than 30 published products are left out: of so few, a share only jumps about.
    """
    enough = np.nonzero(curve.coverage * n_rows >= _LEAST_PUBLISHED)[0]
    if not len(enough):
        return RiskCurve(threshold=curve.threshold[:0], coverage=curve.coverage[:0], risk=curve.risk[:0])
    wanted = np.linspace(curve.coverage[enough[0]], curve.coverage[-1], CURVE_POINTS)
    kept = np.unique(np.minimum(np.searchsorted(curve.coverage, wanted), len(curve.coverage) - 1))
    return RiskCurve(threshold=curve.threshold[kept], coverage=curve.coverage[kept], risk=curve.risk[kept])


def _short(name: str) -> str:
    """Return a name that fits: of a long one the end, where paths differ."""
    return name if len(name) <= _LABEL_CHARACTERS else "…" + name[1 - _LABEL_CHARACTERS :]
