"""A loaded model: products in, decisions out, by the same code in stream, command line and training."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.matrix import FeatureMatrix, vectorize
from features.spec import FeatureSpec
from models.calibration import Calibration
from models.caution import Caution
from models.decisions import decide
from models.familiarity import Familiarity, Unseen, unknown
from models.taxonomy import Taxonomy
from models.text_model import TextModel
from models.thresholds import Thresholds
from models.trees import Trees
from schemas import columns, stages
from schemas.errors import SetupError
from schemas.stages import StageClock

UNSAVED = "unsaved"
"""The version of a model that was not loaded from a bundle: a version is the digest of a bundle's content."""

_Rows: TypeAlias = npt.NDArray[np.bool_] | None


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
        thresholds: least probability of each node that is published without a person.
        familiarity: what it was fitted on; None for a model that does not know.
        caution: what else holds for products of a brand not seen; None for nothing.
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
    thresholds: Thresholds
    familiarity: Familiarity | None = None
    caution: Caution | None = None
    feature_fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        n_classes = self.taxonomy.n_leaves
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
        if self.caution is not None and self.familiarity is None:
            raise SetupError("A model that does not know which brands it has seen cannot be careful about others.")
        if self.trees.n_classes != n_classes:
            raise SetupError(f"The trees score {self.trees.n_classes} classes, not {n_classes}.")
        if self.trees.n_features not in (None, self.spec.dense_width):
            raise SetupError(
                f"The trees were fitted on {self.trees.n_features} dense features, not {self.spec.dense_width}."
            )
        if self.calibration.bias is not None and len(self.calibration.bias) != n_classes:
            raise SetupError(f"The calibration has {len(self.calibration.bias)} biases for {n_classes} classes.")
        if len(self.thresholds.nodes) != len(self.taxonomy.nodes):
            raise SetupError(
                f"{len(self.thresholds.nodes)} thresholds do not fit the {len(self.taxonomy.nodes)} nodes of the "
                "taxonomy."
            )
        object.__setattr__(self, "feature_fingerprint", self.spec.fingerprint)

    def unseen(self, features: FeatureMatrix) -> Unseen | None:
        """Tell what of each product is new; None if the model does not know."""
        return None if self.familiarity is None else self.familiarity.unseen(features)

    def scores(self, features: FeatureMatrix) -> npt.NDArray[np.float64]:
        """Return text scores plus trees, uncalibrated, float64 (n, n_leaves).

        With caution, and a text model to go by, the trees count nothing for products of an unseen brand.
        """
        return self._scores(features, self._doubtful_in(features), None)

    def probabilities(self, features: FeatureMatrix) -> npt.NDArray[np.float64]:
        """Return calibrated probabilities of the leaves, float64 (n, n_leaves), rows that add up to 1."""
        return self._probabilities(features, self._doubtful_in(features), None)

    def floors(self, features: FeatureMatrix) -> npt.NDArray[np.float64] | None:
        """Return the least confidence of each product that may be published, where above the threshold."""
        return self._floors(self._doubtful_in(features))

    def _doubtful_in(self, features: FeatureMatrix) -> _Rows:
        # What is new takes a look at every n-gram: not without need.
        return None if self.caution is None else self._doubtful(self.unseen(features))

    def _doubtful(self, unseen: Unseen | None) -> _Rows:
        """Return which products need caution; None if none does."""
        return None if self.caution is None or unseen is None or not unseen.brand.any() else unseen.brand

    def _scores(
        self, features: FeatureMatrix, doubtful: _Rows, clock: StageClock | None
    ) -> npt.NDArray[np.float64]:
        scores = self.trees.raw_scores(features.dense)
        if clock is not None:
            clock.lap(stages.TREES)
        if self.text is not None:
            if doubtful is not None:
                scores[doubtful] = 0.0
            scores += self.text.scores(features.tokens)
        if clock is not None:
            clock.lap(stages.TEXT_MODEL)
        return scores

    def _probabilities(
        self, features: FeatureMatrix, doubtful: _Rows, clock: StageClock | None
    ) -> npt.NDArray[np.float64]:
        scores = self._scores(features, doubtful, clock)
        if self.caution is not None and doubtful is not None:
            scores = self.caution.tempered(scores, doubtful, self.calibration.temperature)
        probabilities = self.calibration.probabilities(scores)
        if doubtful is not None and self.calibration.top_curve is not None:
            # The curve holds for scores of brands that were seen; caution is fitted without it.
            plain = replace(self.calibration, top_curve=None)
            probabilities[doubtful] = plain.probabilities(scores[doubtful])
        return probabilities

    def _floors(self, doubtful: _Rows) -> npt.NDArray[np.float64] | None:
        return None if self.caution is None or doubtful is None else self.caution.floors(doubtful)

    def classify(self, products: pa.RecordBatch, clock: StageClock | None = None) -> pa.RecordBatch:
        """Decide on products of `columns.PRODUCT`: a batch of `columns.DECISION`, in the order given.

        A row's decision does not depend on the rows around it, bit for bit; nor on where the batch was cut. The
        batch is not changed. A clock that was started gets a lap for each stage, from DENSE to DECIDE.

        Raises SetupError if the batch lacks a column.
        """
        if "product_id" not in products.schema.names:
            raise SetupError("The products have no column product_id.")
        features = vectorize(products, self.spec, clock)
        unseen = self.unseen(features)
        if clock is not None:
            clock.lap(stages.NGRAMS)
        doubtful = self._doubtful(unseen)
        probabilities = self._probabilities(features, doubtful, clock)
        floors = self._floors(doubtful)
        verdicts = decide(products["product_id"], probabilities, self.taxonomy, self.thresholds.nodes, floors)
        new = unknown(products.num_rows) if unseen is None else unseen.columns()
        decisions = pa.RecordBatch.from_arrays([*verdicts.columns, *new], schema=columns.DECISION)
        if clock is not None:
            clock.lap(stages.DECIDE)
        return decisions
