"""A loaded model: products in, decisions out, by the same code in stream, command line and training."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.matrix import FeatureMatrix, vectorize
from features.spec import FeatureSpec
from models.calibration import Calibration
from models.decisions import decide
from models.familiarity import Familiarity, unknown
from models.taxonomy import Taxonomy
from models.text_model import TextModel
from models.trees import Trees
from schemas import columns, stages
from schemas.errors import SetupError
from schemas.stages import StageClock

UNSAVED = "unsaved"
"""The version of a model that was not loaded from a bundle: a version is the digest of a bundle's content."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Classifier:
    """All that a decision depends on. Immutable, and safe to call from several threads at once.

    Attributes:
        name: what published events call the model.
        version: content digest of the bundle it was loaded from.
        spec: the features that both parts were fitted on.
        taxonomy: the classes, in the order of the scores.
        text: the linear model over n-grams; None in the classic profile.
        trees: boosted trees over the dense features, on top of the text scores.
        calibration: scores to probabilities.
        threshold: least probability of a category that is published without a person, 0 to 1.
        familiarity: what it was fitted on; None for a model that does not know, as those of older bundles.
        feature_fingerprint: the spec's, as computed by this code.

    Raises SetupError if the parts do not fit together.
    """

    name: str
    version: str = UNSAVED
    spec: FeatureSpec
    taxonomy: Taxonomy
    text: TextModel | None
    trees: Trees
    calibration: Calibration
    threshold: float
    familiarity: Familiarity | None = None
    feature_fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        n_classes = self.taxonomy.n_leaves
        if not 0 <= self.threshold <= 1:
            raise SetupError(f"The threshold is {self.threshold}; needed is a probability, 0 to 1.")
        if (self.text is None) != (self.spec.profile == "classic"):
            raise SetupError(f"The profile {self.spec.profile} goes with a text model, and classic with none.")
        if self.text is not None:
            if self.text.n_classes != n_classes:
                raise SetupError(f"The text model scores {self.text.n_classes} classes, not {n_classes}.")
            have = (self.text.weighting.n_buckets, self.text.weighting.n_blocks)
            if have != (self.spec.n_buckets, len(self.spec.blocks)):
                raise SetupError(
                    f"The text model has {have[0]} buckets and {have[1]} blocks; "
                    f"the features have {self.spec.n_buckets} and {len(self.spec.blocks)}."
                )
        if self.familiarity is not None and (self.familiarity.ngrams is None) != (self.text is None):
            raise SetupError("A text model goes with the n-grams that were seen in training, and none with none.")
        if self.trees.n_classes != n_classes:
            raise SetupError(f"The trees score {self.trees.n_classes} classes, not {n_classes}.")
        if self.trees.n_features not in (None, self.spec.dense_width):
            raise SetupError(
                f"The trees were fitted on {self.trees.n_features} dense features, not {self.spec.dense_width}."
            )
        if self.calibration.bias is not None and len(self.calibration.bias) != n_classes:
            raise SetupError(f"The calibration has {len(self.calibration.bias)} biases for {n_classes} classes.")
        object.__setattr__(self, "feature_fingerprint", self.spec.fingerprint)

    def scores(self, features: FeatureMatrix, clock: StageClock | None = None) -> npt.NDArray[np.float64]:
        """Return text scores plus trees, uncalibrated, float64 (n, n_leaves)."""
        scores = self.trees.raw_scores(features.dense)
        if clock is not None:
            clock.lap(stages.TREES)
        if self.text is not None:
            scores += self.text.scores(features.tokens)
        if clock is not None:
            clock.lap(stages.TEXT_MODEL)
        return scores

    def probabilities(self, features: FeatureMatrix) -> npt.NDArray[np.float64]:
        """Return calibrated probabilities of the leaves, float64 (n, n_leaves), rows that add up to 1."""
        return self.calibration.probabilities(self.scores(features))

    def classify(self, products: pa.RecordBatch, clock: StageClock | None = None) -> pa.RecordBatch:
        """Decide on products of `columns.PRODUCT`: a batch of `columns.DECISION`, in the order given.

        A row's decision does not depend on the rows around it, bit for bit; nor on where the batch was cut. The
        batch is not changed. A clock that was started gets a lap for each stage, from DENSE to DECIDE.

        Raises SetupError if the batch lacks a column.
        """
        if "product_id" not in products.schema.names:
            raise SetupError("The products have no column product_id.")
        features = vectorize(products, self.spec, clock)
        probabilities = self.calibration.probabilities(self.scores(features, clock))
        verdicts = decide(products["product_id"], probabilities, self.taxonomy, self.threshold)
        new = (
            unknown(products.num_rows) if self.familiarity is None else self.familiarity.unseen(features).columns()
        )
        decisions = pa.RecordBatch.from_arrays([*verdicts.columns, *new], schema=columns.DECISION)
        if clock is not None:
            clock.lap(stages.DECIDE)
        return decisions
