from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from training.evaluation import ClassScore, Evaluation, ReliabilityBin
from training.pictures import draw_confusion, draw_reliability


def evaluation(n_classes: int) -> Evaluation:
    random = np.random.default_rng(0)
    confusion = (random.random((n_classes, n_classes)) < 0.05) + 20 * np.eye(n_classes, dtype=np.int64)
    classes = tuple(
        ClassScore(
            path=("A root of some length", f"category number {k}"),
            support=int(confusion[k].sum()),
            precision=0.9,
            recall=0.9,
            f1=0.9 - k / 1000,
            coverage=1.0,
            published=20,
            published_precision=0.9,
        )
        for k in range(n_classes)
    )
    bins = tuple(ReliabilityBin(n=50, confidence=c, accuracy=min(1.0, c + 0.02)) for c in (0.3, 0.6, 0.99))
    return Evaluation(
        n=150,
        n_unknown=0,
        accuracy=0.9,
        exact_accuracy=0.9,
        macro_f1=0.9,
        top3=1.0,
        coverage=0.9,
        accepted=0.9,
        precision=0.95,
        ece=0.02,
        log_loss=0.3,
        reliability=bins,
        classes=classes,
        confusion=confusion,
    )


@pytest.mark.parametrize("n_classes", [2, 50])
def test_a_confusion_matrix_grows_with_its_classes_up_to_forty(n_classes: int, tmp_path: Path) -> None:
    draw_confusion(evaluation(n_classes), tmp_path / "confusion.png")

    height, width, _ = matplotlib.image.imread(tmp_path / "confusion.png").shape
    assert 300 < height < 2500
    assert height <= width < 2800
    assert height > 40 * min(n_classes, 40)


def test_classes_without_test_products_are_not_drawn(tmp_path: Path) -> None:
    known = evaluation(4)
    confusion = known.confusion.copy()
    confusion[2] = 0
    classes = tuple(replace(one, support=0) if k == 2 else one for k, one in enumerate(known.classes))
    draw_confusion(replace(known, confusion=confusion, classes=classes), tmp_path / "three.png")
    draw_confusion(evaluation(4), tmp_path / "four.png")

    three, four = (matplotlib.image.imread(tmp_path / name).shape[0] for name in ("three.png", "four.png"))
    assert three <= four


def test_drawing_again_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        draw_reliability(evaluation(3), tmp_path / name)

    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
