"""What became of each labelled product: everything else that is said of a model is counted from this.

Which answer is right needs a rule where the true category is one that the model cannot name, because it was too
small and is trained as an ancestor. There are two:

- the most probable leaf is right if it is the class that the true category is trained as, which is the longest
  part of the true path that is a leaf of the model;
- what is published is right if it is the true path or an ancestor of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.matrix import FeatureMatrix, vectorize
from models.classifier import Classifier
from models.decisions import decide
from models.familiarity import Unseen
from models.taxonomy import Taxonomy
from schemas.columns import PRODUCT
from schemas.errors import SetupError
from training.true_paths import classes_of, is_at_or_above, paths_of

_pc: Final[Any] = pc  # its stubs refuse a text beside an array


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcomes:
    """One row a product, in the order of the products.

    Attributes:
        taxonomy: of the model.
        truth: the true path.
        probabilities: float64 (n, n_leaves), calibrated.
        decisions: what was decided, as `models.decisions.decide` gives it.
        targets: int32, the class that the product is truly of; `true_paths.UNKNOWN` if the model has none.
        best: int64, the most probable leaf.
        confidence: float64, the probability of that leaf.
        is_right: whether that leaf is the class.
        is_published: whether the decision is anything but `review`.
        is_true: whether the decided path is the true one or above it; says nothing where `is_published` is False.
        unseen: what of the products was new to the model; None if it does not know.
    """

    taxonomy: Taxonomy
    truth: pa.Array[Any]
    probabilities: npt.NDArray[np.float64]
    decisions: pa.RecordBatch
    targets: npt.NDArray[np.int32]
    best: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    is_right: npt.NDArray[np.bool_]
    is_published: npt.NDArray[np.bool_]
    is_true: npt.NDArray[np.bool_]
    unseen: Unseen | None

    def __len__(self) -> int:
        return len(self.targets)

    def decided(self, decision: str) -> npt.NDArray[np.bool_]:
        """Tell of each row whether this was decided: `accepted`, `backed_off` or `review`."""
        found: npt.NDArray[np.bool_] = _pc.equal(self.decisions["decision"], decision).to_numpy(
            zero_copy_only=False
        )
        return found

    def where(self, chosen: npt.NDArray[np.bool_]) -> Outcomes:
        """Return the rows for which `chosen`, bool (n), is True."""
        mask = pa.array(chosen)
        return Outcomes(
            taxonomy=self.taxonomy,
            truth=self.truth.filter(mask),
            probabilities=self.probabilities[chosen],
            decisions=self.decisions.filter(mask),
            targets=self.targets[chosen],
            best=self.best[chosen],
            confidence=self.confidence[chosen],
            is_right=self.is_right[chosen],
            is_published=self.is_published[chosen],
            is_true=self.is_true[chosen],
            unseen=None if self.unseen is None else _unseen_where(self.unseen, chosen),
        )


def classify_labelled(classifier: Classifier, products: pa.Table) -> Outcomes:
    """Classify products of `LABELLED_PRODUCT` (other columns are ignored) and compare with their category.

    Raises SetupError if there are none.
    """
    features = vectorize(as_batch(products.select(PRODUCT.names)), classifier.spec)
    return outcomes_of(classifier, features, products)


def outcomes_of(classifier: Classifier, features: FeatureMatrix, products: pa.Table) -> Outcomes:
    """Do the same with features that were already computed."""
    if not products.num_rows:
        raise SetupError("There are no products to evaluate on.")
    probabilities = classifier.probabilities(features)
    ids, truth = (products[name].combine_chunks() for name in ("product_id", "category_path"))
    floors = classifier.floors(features)
    decisions = decide(ids, probabilities, classifier.taxonomy, classifier.thresholds.nodes, floors)
    targets = classes_of(paths_of(truth), classifier.taxonomy.leaves)
    best = probabilities.argmax(axis=1)
    return Outcomes(
        taxonomy=classifier.taxonomy,
        truth=truth,
        probabilities=probabilities,
        decisions=decisions,
        targets=targets,
        best=best,
        confidence=probabilities[np.arange(len(best)), best],
        is_right=best == targets,
        is_published=_pc.not_equal(decisions["decision"], "review").to_numpy(zero_copy_only=False),
        is_true=is_at_or_above(decisions["category_path"], truth),
        unseen=classifier.unseen(features),
    )


def as_batch(products: pa.Table) -> pa.RecordBatch:
    """Return the whole table as one record batch."""
    batches = products.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], products.schema)


def _unseen_where(unseen: Unseen, chosen: npt.NDArray[np.bool_]) -> Unseen:
    text = None if unseen.text is None else unseen.text[chosen]
    return Unseen(brand=unseen.brand[chosen], seller=unseen.seller[chosen], text=text)
