"""How good a classifier is on labelled products.

Which answer is right needs a rule where the true category is one that the model cannot name, because it was too
small and is trained as an ancestor. There are three, and all are reported:

- `accuracy` and everything by class: the most probable leaf is the class that the true category is trained as,
  which is the longest part of the true path that is a leaf of the model. It says how well the model learned its
  classes.
- `exact_accuracy`: the most probable leaf is the true path itself. A merged category never is.
- `precision` (of what is published): the published path is the true path or an ancestor of it. That is what
  subscribers rely on, and is always given with `coverage`, the share of products that is published at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.matrix import FeatureMatrix, vectorize
from models.classifier import Classifier
from models.decisions import decide
from models.taxonomy import Path
from schemas.columns import PRODUCT
from schemas.errors import SetupError

_RELIABILITY_BINS: Final = 15
_SEPARATOR: Final = "\x1f"

# Its stubs know neither what a column of unknown type becomes nor dictionaries.
_pc: Final[Any] = pc
_UNKNOWN: Final = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassScore:
    """One class of the model: `support` test products are truly of it."""

    path: Path
    support: int
    precision: float
    recall: float
    f1: float


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
        confusion: int64 (n_classes, n_classes): products by true class (row) and most probable leaf (column).
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

    def summary(self) -> dict[str, float]:
        """Return the plain numbers, by name."""
        return {name: getattr(self, name) for name in _SUMMARY}

    def to_json(self) -> dict[str, object]:
        """Return everything as JSON; the confusion matrix as its cells [true, predicted, products] above 0."""
        true, predicted = np.nonzero(self.confusion)
        cells = np.column_stack([true, predicted, self.confusion[true, predicted]])
        return {
            **self.summary(),
            "reliability": [asdict(one) for one in self.reliability],
            "classes": [{**asdict(one), "path": list(one.path)} for one in self.classes],
            "confusion": cells.tolist(),
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
    features = vectorize(as_batch(products.select(PRODUCT.names)), classifier.spec)
    return evaluate_features(classifier, features, products["product_id"], products["category_path"])


def evaluate_features(
    classifier: Classifier, features: FeatureMatrix, product_ids: pa.ChunkedArray[Any], paths: pa.ChunkedArray[Any]
) -> Evaluation:
    """Do the same with features that were already computed."""
    if not len(paths):
        raise SetupError("There are no products to evaluate on.")
    probabilities = classifier.probabilities(features)
    ids, truth = product_ids.combine_chunks(), paths.combine_chunks()
    decisions = decide(ids, probabilities, classifier.taxonomy, classifier.threshold)
    targets = classes_of(paths_of(truth), classifier.taxonomy.leaves)

    rows = np.arange(len(targets))
    best = probabilities.argmax(axis=1)
    is_right = best == targets
    known = targets != _UNKNOWN
    rank = (probabilities > probabilities[rows, np.maximum(targets, 0)][:, None]).sum(axis=1)
    is_exact = is_right & (_pc.list_value_length(truth).to_numpy() == _depths(classifier.taxonomy.leaves)[best])
    published = _pc.not_equal(decisions["decision"], "review").to_numpy(zero_copy_only=False)
    is_true = is_at_or_above(decisions["category_path"], truth)
    confusion = _confusion(targets[known], best[known], classifier.taxonomy.n_leaves)
    classes = _class_scores(
        classifier.taxonomy.leaves, confusion, predicted=np.bincount(best, minlength=len(confusion))
    )
    confidence = probabilities[rows, best]
    reliability = _reliability(confidence, is_right)
    of_truth = np.maximum(probabilities[rows[known], targets[known]], np.finfo(np.float64).tiny)
    return Evaluation(
        n=len(targets),
        n_unknown=int((~known).sum()),
        accuracy=float(is_right.mean()),
        exact_accuracy=float(is_exact.mean()),
        macro_f1=_mean([one.f1 for one in classes if one.support]),
        top3=float((known & (rank < 3)).mean()),
        coverage=float(published.mean()),
        accepted=float(_pc.equal(decisions["decision"], "accepted").to_numpy(zero_copy_only=False).mean()),
        precision=_mean(is_true[published].tolist()),
        ece=sum(one.n * abs(one.confidence - one.accuracy) for one in reliability) / len(targets),
        log_loss=_mean((-np.log(of_truth)).tolist()),
        reliability=reliability,
        classes=classes,
        confusion=confusion,
    )


def as_batch(products: pa.Table) -> pa.RecordBatch:
    """Return the whole table as one record batch."""
    batches = products.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], products.schema)


def paths_of(column: pa.ChunkedArray[Any] | pa.Array[Any]) -> list[Path]:
    """Return a column of paths as tuples."""
    return [tuple(path) for path in cast("list[list[str]]", column.to_pylist())]


def classes_of(paths: Sequence[Path], leaves: Sequence[Path]) -> npt.NDArray[np.int32]:
    """Return the class of each true path: the longest part of it, from the root, that is a leaf; -1 if none is."""
    position = {leaf: index for index, leaf in enumerate(leaves)}
    known: dict[Path, int] = {}
    for path in set(paths):
        prefixes = (path[:depth] for depth in range(len(path), 0, -1))
        known[path] = next((position[prefix] for prefix in prefixes if prefix in position), _UNKNOWN)
    return np.fromiter((known[path] for path in paths), np.int32, len(paths))


def is_at_or_above(published: pa.Array[Any], truth: pa.Array[Any]) -> npt.NDArray[np.bool_]:
    """Tell of each pair of paths whether the first is the second or an ancestor of it."""
    ours, theirs = (_pc.binary_join(paths, _SEPARATOR).dictionary_encode() for paths in (published, truth))
    full = [path + _SEPARATOR for path in theirs.dictionary.to_pylist()]
    table = np.array(
        [[path.startswith(prefix + _SEPARATOR) for path in full] for prefix in ours.dictionary.to_pylist()],
        np.bool_,
    ).reshape(len(ours.dictionary), len(full))
    right: npt.NDArray[np.bool_] = table[ours.indices.to_numpy(), theirs.indices.to_numpy()]
    return right


def _depths(leaves: Sequence[Path]) -> npt.NDArray[np.int64]:
    return np.array([len(leaf) for leaf in leaves], np.int64)


def _confusion(
    targets: npt.NDArray[np.int32], best: npt.NDArray[np.int64], n_classes: int
) -> npt.NDArray[np.int64]:
    cells = np.bincount(targets.astype(np.int64) * n_classes + best, minlength=n_classes * n_classes)
    return cells.reshape(n_classes, n_classes)


def _class_scores(
    leaves: Sequence[Path], confusion: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64]
) -> tuple[ClassScore, ...]:
    """Score each class; `predicted` counts the products given to it, those of no known class included."""
    right, support = np.diag(confusion), confusion.sum(axis=1)
    precision = right / np.maximum(predicted, 1)
    recall = right / np.maximum(support, 1)
    f1 = 2 * right / np.maximum(predicted + support, 1)
    return tuple(
        ClassScore(
            path=leaf,
            support=int(support[k]),
            precision=float(precision[k]),
            recall=float(recall[k]),
            f1=float(f1[k]),
        )
        for k, leaf in enumerate(leaves)
    )


def _reliability(
    confidence: npt.NDArray[np.float64], is_right: npt.NDArray[np.bool_]
) -> tuple[ReliabilityBin, ...]:
    order = np.argsort(confidence, kind="stable")
    bins = [rows for rows in np.array_split(order, _RELIABILITY_BINS) if len(rows)]
    return tuple(
        ReliabilityBin(
            n=len(rows), confidence=float(confidence[rows].mean()), accuracy=float(is_right[rows].mean())
        )
        for rows in bins
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else 0.0


def metrics_of(evaluation: Evaluation) -> Mapping[str, object]:
    """Return what a bundle's manifest says of the model: the plain numbers, and F1 and support of each class."""
    return {
        **evaluation.summary(),
        "classes": [{"path": list(one.path), "support": one.support, "f1": one.f1} for one in evaluation.classes],
    }
