"""Pictures of an evaluation: where the classes are confused, and whether confidence means what it says.

Matplotlib is imported when a picture is drawn: it takes half a second.
"""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Final

import numpy as np

from models.taxonomy import Path
from training.evaluation import Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: More classes than this cannot be read in one picture: those with the lowest F1 are shown.
_CLASSES_SHOWN: Final = 40
_LABEL_WIDTH: Final = 34
_DPI: Final = 130


def draw_confusion(evaluation: Evaluation, to: FilePath) -> None:
    """Write the confusion matrix as PNG: each row is what became of the products of one class, in percent.

    Classes with test products only, in the order of the taxonomy. With more than 40, the 40 with the lowest F1,
    worst first, and a last column for everything that was taken for a class not shown.
    """
    from matplotlib.figure import Figure

    tested = [index for index, one in enumerate(evaluation.classes) if one.support]
    is_cut = len(tested) > _CLASSES_SHOWN
    shown = sorted(tested, key=lambda index: evaluation.classes[index].f1)[:_CLASSES_SHOWN] if is_cut else tested
    counts = evaluation.confusion[shown]
    cells = counts[:, shown]
    columns = [_label(evaluation.classes[index].path) for index in shown]
    if len(shown) < len(evaluation.classes):
        cells = np.column_stack([cells, counts.sum(axis=1) - cells.sum(axis=1)])
        columns.append("any other")
    shares = 100 * cells / counts.sum(axis=1, keepdims=True)

    side = 3.2 + 0.34 * len(columns)
    figure = Figure(figsize=(side + 0.6, side), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    # The square root keeps a confusion of 2 % visible beside a diagonal of 98 %.
    axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=10.0, aspect="equal")
    for row, column in zip(*np.nonzero(shares >= 0.5), strict=True):
        share = shares[row, column]
        color = "white" if share > 45 else "#14304f"
        axes.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=6.5, color=color)
    labels = [
        f"{_label(evaluation.classes[index].path)}  ({evaluation.classes[index].support:,})" for index in shown
    ]
    axes.set_xticks(range(len(columns)), columns, rotation=60, ha="right", rotation_mode="anchor", fontsize=7)
    axes.set_yticks(range(len(labels)), labels, fontsize=7)
    axes.set_xlabel("most probable leaf")
    axes.set_ylabel("true class (products)")
    which = f"The {len(shown)} classes with the lowest F1, worst first" if is_cut else f"{len(shown)} classes"
    axes.set_title(
        f"{which}, % of each row\naccuracy {evaluation.accuracy:.3f}, macro-F1 {evaluation.macro_f1:.3f}, "
        f"{evaluation.n:,} products",
        fontsize=9,
    )
    _outline(axes, cells.shape)
    figure.savefig(to, format="png", metadata={"Software": ""})


def draw_reliability(evaluation: Evaluation, to: FilePath) -> None:
    """Write the reliability diagram as PNG: how often products of about the same confidence were right."""
    from matplotlib.figure import Figure

    confidence = np.array([one.confidence for one in evaluation.reliability])
    accuracy = np.array([one.accuracy for one in evaluation.reliability])
    counts = np.array([one.n for one in evaluation.reliability])
    spread = 1.96 * np.sqrt(accuracy * (1 - accuracy) / counts)

    figure = Figure(figsize=(5.2, 5.2), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle="--", label="confidence is accuracy")
    axes.errorbar(
        confidence,
        accuracy,
        yerr=spread,
        color="#1f5a99",
        marker="o",
        markersize=4,
        linewidth=1.2,
        elinewidth=0.8,
        label=f"{len(counts)} bins of about {round(counts.mean()):,} products, 95 % interval",
    )
    low = max(0.0, float(min(confidence.min(), (accuracy - spread).min())) - 0.05)
    axes.set_xlim(low, 1.01)
    axes.set_ylim(low, 1.01)
    axes.set_aspect("equal")
    axes.grid(color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("mean confidence of the most probable leaf")
    axes.set_ylabel("share that was right")
    axes.set_title(f"Calibration error {evaluation.ece:.4f} over {evaluation.n:,} products", fontsize=9)
    axes.legend(loc="upper left", fontsize=7, frameon=False)
    figure.savefig(to, format="png", metadata={"Software": ""})


def _label(path: Path) -> str:
    """Return the path in one short line: of a long one the end, where paths differ."""
    text = " > ".join(path)
    return text if len(text) <= _LABEL_WIDTH else "…" + text[1 - _LABEL_WIDTH :]


def _outline(axes: Axes, shape: tuple[int, ...]) -> None:
    axes.set_xticks(np.arange(-0.5, shape[1]), minor=True)
    axes.set_yticks(np.arange(-0.5, shape[0]), minor=True)
    axes.grid(which="minor", color="#eeeeee", linewidth=0.5)
    axes.tick_params(which="minor", length=0)
