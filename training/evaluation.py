"""How good a classifier is on labelled products, in figures.

`training.outcomes` says which answer is right. A category that the model cannot name makes three figures of what
would be one, and all are reported:

- `accuracy` and everything by class: the most probable leaf is the class that the true category is trained as. It
  says how well the model learned its classes.
- `exact_accuracy`: the most probable leaf is the true path itself. A merged category never is.
- `precision` (of what is published): the published path is the true path or an ancestor of it. That is what
  subscribers rely on, and is always given with `coverage`, the share of products that is published at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.classifier import Classifier
from models.taxonomy import Path
from training.confidence_bins import confidence_bins
from training.outcomes import Outcomes, classify_labelled
from training.true_paths import UNKNOWN

_pc: Final[Any] = pc  # its stubs do not know what a column of unknown type becomes


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassScore:
    """One class of the model.

    Attributes:
        path: the leaf.
        support: products that are truly of it.
        precision, recall, f1: of the most probable leaf; 0 where there is nothing to divide by.
        coverage: share of `support` that is published, under whatever path.
        published: products that are accepted as this leaf.
        published_precision: share of `published` that is right; None if there are none.
    """

    path: Path
    support: int
    precision: float
    recall: float
    f1: float
    coverage: float
    published: int
    published_precision: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """Products of about the same confidence: if that means anything, `accuracy` is about `confidence`."""

    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """What a classifier did on products whose category is known.

    Attributes:
        n: products.
        n_unknown: products whose category has no class in the model, not even an ancestor; they count as wrong.
        accuracy, exact_accuracy, precision, coverage: see the module.
        accepted: share of products published with a leaf; the rest of `coverage` is backed off to an ancestor.
        macro_f1: mean F1 over the classes that have test products.
        top3: share of products whose class is among the three most probable leaves.
        ece: expected calibration error of the most probable leaf, over 15 bins of as many products each.
        log_loss: mean negative log probability of the class; products without one are left out.
        reliability: the bins of `ece`, from least to most confident.
        classes: in the order of the taxonomy.
        confusion: int64 (n_cells, 3): true class, most probable leaf, and the number of such products, above 0; in
            the order of the classes. As a matrix it would take 200 MB at 5,000 classes.
    """

    n: int
    n_unknown: int
    accuracy: float
    exact_accuracy: float
    macro_f1: float
    top3: float
    coverage: float
    accepted: float
    precision: float
    ece: float
    log_loss: float
    reliability: tuple[ReliabilityBin, ...]
    classes: tuple[ClassScore, ...]
    confusion: npt.NDArray[np.int64]

    @property
    def largest_class(self) -> ClassScore:
        """Return the class with most products: what it would be to always say that is the baseline."""
        return max(self.classes, key=lambda one: one.support)

    @property
    def baseline(self) -> float:
        """Return the accuracy of always saying the largest class."""
        return self.largest_class.support / self.n

    def summary(self) -> dict[str, float]:
        """Return the plain numbers, by name."""
        return {name: getattr(self, name) for name in _SUMMARY}

    def to_json(self) -> dict[str, object]:
        """Return everything as JSON."""
        return {
            **self.summary(),
            "reliability": [asdict(one) for one in self.reliability],
            "classes": [{**asdict(one), "path": list(one.path)} for one in self.classes],
            "confusion": self.confusion.tolist(),
        }


_SUMMARY: Final = (
    "n",
    "n_unknown",
    "accuracy",
    "exact_accuracy",
    "macro_f1",
    "top3",
    "coverage",
    "accepted",
    "precision",
    "ece",
    "log_loss",
)


def evaluate_classifier(classifier: Classifier, products: pa.Table) -> Evaluation:
    """Classify products of `LABELLED_PRODUCT` (other columns are ignored) and compare with their category.

    Raises SetupError if there are none.
    """
    return evaluate(classify_labelled(classifier, products))


def evaluate(outcomes: Outcomes) -> Evaluation:
    """Count the outcomes, of which there is at least one."""
    leaves, targets, best = outcomes.taxonomy.leaves, outcomes.targets, outcomes.best
    known = targets != UNKNOWN
    of_target = outcomes.probabilities[np.arange(len(targets)), np.maximum(targets, 0)]
    rank = (outcomes.probabilities > of_target[:, None]).sum(axis=1)
    is_exact = outcomes.is_right & (_pc.list_value_length(outcomes.truth).to_numpy() == _depths(leaves)[best])
    confusion = _confusion(targets[known], best[known], len(leaves))
    classes = _class_scores(outcomes)
    reliability = _reliability(outcomes.confidence, outcomes.is_right)
    of_truth = np.maximum(of_target[known], np.finfo(np.float64).tiny)
    return Evaluation(
        n=len(targets),
        n_unknown=int((~known).sum()),
        accuracy=float(outcomes.is_right.mean()),
        exact_accuracy=float(is_exact.mean()),
        macro_f1=_mean([one.f1 for one in classes if one.support]),
        top3=float((known & (rank < 3)).mean()),
        coverage=float(outcomes.is_published.mean()),
        accepted=float(outcomes.decided("accepted").mean()),
        precision=_mean(outcomes.is_true[outcomes.is_published].tolist()),
        ece=sum(one.n * abs(one.confidence - one.accuracy) for one in reliability) / len(targets),
        log_loss=_mean((-np.log(of_truth)).tolist()),
        reliability=reliability,
        classes=classes,
        confusion=confusion,
    )


def _depths(leaves: Sequence[Path]) -> npt.NDArray[np.int64]:
    return np.array([len(leaf) for leaf in leaves], np.int64)


def _confusion(
    targets: npt.NDArray[np.int32], best: npt.NDArray[np.int64], n_classes: int
) -> npt.NDArray[np.int64]:
    cells, counts = np.unique(targets.astype(np.int64) * n_classes + best, return_counts=True)
    return np.column_stack([*np.divmod(cells, n_classes), counts])


def _class_scores(outcomes: Outcomes) -> tuple[ClassScore, ...]:
    """Score each class; products of no known class count among those that were given to one."""
    leaves, n_classes = outcomes.taxonomy.leaves, outcomes.taxonomy.n_leaves
    right = np.bincount(outcomes.best[outcomes.is_right], minlength=n_classes)
    support = np.bincount(outcomes.targets[outcomes.targets != UNKNOWN], minlength=n_classes)
    predicted = np.bincount(outcomes.best, minlength=n_classes)
    precision = right / np.maximum(predicted, 1)
    recall = right / np.maximum(support, 1)
    f1 = 2 * right / np.maximum(predicted + support, 1)
    covered = np.bincount(
        outcomes.targets[outcomes.is_published & (outcomes.targets != UNKNOWN)], minlength=n_classes
    )
    accepted = outcomes.decided("accepted")
    published = np.bincount(outcomes.best[accepted], minlength=n_classes)
    published_right = np.bincount(outcomes.best[accepted & outcomes.is_true], minlength=n_classes)
    return tuple(
        ClassScore(
            path=leaf,
            support=int(support[k]),
            precision=float(precision[k]),
            recall=float(recall[k]),
            f1=float(f1[k]),
            coverage=float(covered[k] / max(support[k], 1)),
            published=int(published[k]),
            published_precision=float(published_right[k] / published[k]) if published[k] else None,
        )
        for k, leaf in enumerate(leaves)
    )


def _reliability(
    confidence: npt.NDArray[np.float64], is_right: npt.NDArray[np.bool_]
) -> tuple[ReliabilityBin, ...]:
    return tuple(
        ReliabilityBin(
            n=len(rows), confidence=float(confidence[rows].mean()), accuracy=float(is_right[rows].mean())
        )
        for rows in confidence_bins(confidence)
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else 0.0


def metrics_of(evaluation: Evaluation) -> Mapping[str, object]:
    """Return what a bundle's manifest says of the model: the plain numbers, and F1 and support of each class."""
    return {
        **evaluation.summary(),
        "classes": [{"path": list(one.path), "support": one.support, "f1": one.f1} for one in evaluation.classes],
    }
