"""Fit all parts of a classifier, in their order: text model, trees, calibration, thresholds, caution.

Each part sees, of the train and the calibrate part, the scores of models that were fitted without the row
(docs/decisions/0013).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.matrix import FeatureMatrix, joined
from features.spec import FeatureSpec
from models.caution import Caution
from models.classifier import Classifier
from models.familiarity import fit_familiarity
from models.taxonomy import Taxonomy
from models.text_model import TextModel
from models.trees import Trees
from training.calibration_choice import CalibrationChoice, choose_calibration
from training.labels import TrainedLabels
from training.many_classes import fit_many_classes, left_out, rows_to_calibrate
from training.progress import Progress
from training.splits import CALIBRATE, TRAIN
from training.text_fit import TextFit, fit_text_model, held_out_scores
from training.thresholds import CANDIDATES, ThresholdChoice, choose_thresholds
from training.trees_fit import TreeRows, fit_trees
from training.unseen_brands import N_FOLDS, brand_folds, fit_caution
from training.walks import walk

#: What the text model learns from, held-out rows last.
_SEEN: Final = (TRAIN, CALIBRATE)

Scores = npt.NDArray[Any]
"""Floats (n_rows, n_classes): 32 bits with many classes, otherwise 64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The part, fold and class of each product; one that is excluded is in no part, or in the test part."""

    parts: npt.NDArray[np.int8]
    folds: npt.NDArray[np.int8]
    labels: TrainedLabels

    def part(self, products: pa.Table, part: int) -> pa.Table:
        """Return the products of a part."""
        return products.filter(pa.array(self.parts == part))

    def targets(self, *parts: int) -> npt.NDArray[np.int32]:
        """Return the class of each product of some parts, one part after the other."""
        return np.concatenate([self.labels.targets[self.parts == part] for part in parts])

    def truth(self, products: pa.Table, *parts: int) -> pa.Array[Any]:
        """Return the true path of each product of some parts, as `targets`."""
        paths = products["category_path"].combine_chunks()
        return pa.concat_arrays([paths.filter(pa.array(self.parts == part)) for part in parts])


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A classifier, how its calibration and thresholds were chosen, and what it goes without (`many_classes`)."""

    classifier: Classifier
    calibrated: CalibrationChoice
    choice: ThresholdChoice
    left_out: tuple[str, ...]


def fit_classifier(
    split: Split,
    products: pa.Table,
    features: Mapping[int, FeatureMatrix],
    *,
    spec: FeatureSpec,
    name: str,
    seed: int,
    target_precision: float,
    most_classes_with_trees: int,
    progress: Progress,
) -> Fitted:
    """Fit on the train and the calibrate part of `products`, whose features are given by part.

    Deterministic. With more classes than `most_classes_with_trees` there has to be a text model.
    """
    taxonomy = Taxonomy(split.labels.leaves)
    is_large = taxonomy.n_leaves > most_classes_with_trees
    seen = joined([features[part] for part in _SEEN]) if spec.blocks else features[TRAIN]
    model: TextModel | None
    text: TextFit | None = None
    if is_large:
        model, trees, scores = _fit_many_classes(split, seen, taxonomy, spec, seed, progress)
    else:
        text, trees, scores = _fit_with_trees(split, features, seen, taxonomy, spec, seed, progress)
        model = None if text is None else text.model

    progress.step("Calibrating")
    targets, folds = split.targets(CALIBRATE).astype(np.int64), split.folds[split.parts == CALIBRATE]
    sample = rows_to_calibrate(scores) if is_large else np.arange(len(scores))
    calibrated = choose_calibration(scores[sample].astype(np.float64), targets[sample], folds[sample])
    walks = walk(calibrated.calibration.probabilities(scores), split.truth(products, CALIBRATE), taxonomy)
    choice = choose_thresholds(walks, taxonomy, target_precision=target_precision)
    caution = None
    if not is_large:
        caution = _caution(split, products, features, seen, taxonomy, spec, text, seed, target_precision, progress)
    classifier = Classifier(
        name=name,
        spec=spec,
        taxonomy=taxonomy,
        text=model,
        trees=trees,
        calibration=calibrated.calibration,
        thresholds=choice.thresholds,
        familiarity=fit_familiarity(seen),
        caution=caution,
    )
    return Fitted(
        classifier=classifier,
        calibrated=calibrated,
        choice=choice,
        left_out=left_out(taxonomy.n_leaves, most_with_trees=most_classes_with_trees, hash_bits=spec.hash_bits),
    )


def _fit_with_trees(
    split: Split,
    features: Mapping[int, FeatureMatrix],
    seen: FeatureMatrix,
    taxonomy: Taxonomy,
    spec: FeatureSpec,
    seed: int,
    progress: Progress,
) -> tuple[TextFit | None, Trees, Scores]:
    """Return the text model, if the profile has one, the trees, and the scores of both for the calibrate part."""
    text: TextFit | None = None
    train_text = calibrate_text = None
    if spec.blocks:
        text = fit_text_model(
            seen.tokens,
            split.targets(*_SEEN),
            np.concatenate([split.folds[split.parts == part] for part in _SEEN]),
            spec=spec,
            n_classes=taxonomy.n_leaves,
            seed=seed,
            progress=progress,
        )
        train_text, calibrate_text = np.split(text.out_of_fold, [len(split.targets(TRAIN))])
    trees = fit_trees(
        TreeRows(dense=features[TRAIN].dense, targets=split.targets(TRAIN), text_scores=train_text),
        TreeRows(dense=features[CALIBRATE].dense, targets=split.targets(CALIBRATE), text_scores=calibrate_text),
        spec=spec,
        n_classes=taxonomy.n_leaves,
        seed=seed,
        progress=progress,
    )
    scores = trees.raw_scores(features[CALIBRATE].dense)
    if calibrate_text is not None:
        scores += calibrate_text
    return text, trees, scores


def _fit_many_classes(
    split: Split, seen: FeatureMatrix, taxonomy: Taxonomy, spec: FeatureSpec, seed: int, progress: Progress
) -> tuple[TextModel, Trees, Scores]:
    """Return the text model, no trees, and the scores of the calibrate part."""
    text = fit_many_classes(
        seen.tokens,
        split.targets(*_SEEN),
        n_held_out=len(split.targets(CALIBRATE)),
        spec=spec,
        n_classes=taxonomy.n_leaves,
        seed=seed,
        progress=progress,
    )
    return text.model, Trees(model_text="", n_classes=taxonomy.n_leaves), text.held_out


def _caution(
    split: Split,
    products: pa.Table,
    features: Mapping[int, FeatureMatrix],
    seen: FeatureMatrix,
    taxonomy: Taxonomy,
    spec: FeatureSpec,
    text: TextFit | None,
    seed: int,
    target_precision: float,
    progress: Progress,
) -> Caution | None:
    """Fit the model again without a part of the brands, and learn from that; None if the brands are too few."""
    brands = seen.identities[:, 0]
    folds = brand_folds(brands, seed=seed)
    if folds is None:
        return None
    progress.step("Holding brands out", N_FOLDS)
    parts = (TRAIN,) if text is None else _SEEN
    targets = split.targets(*parts)
    if text is not None:
        scores = held_out_scores(
            text, seen.tokens, targets, folds, n_classes=taxonomy.n_leaves, seed=seed, progress=progress
        )
    else:
        scores = np.full((len(targets), taxonomy.n_leaves), np.nan)
        stop = TreeRows(dense=features[CALIBRATE].dense, targets=split.targets(CALIBRATE), text_scores=None)
        for fold in range(N_FOLDS):
            kept = TreeRows(dense=seen.dense[folds != fold], targets=targets[folds != fold], text_scores=None)
            trees = fit_trees(kept, stop, spec=spec, n_classes=taxonomy.n_leaves, seed=seed, progress=progress)
            scores[folds == fold] = trees.raw_scores(seen.dense[folds == fold])
    has_brand = folds >= 0
    return fit_caution(
        scores[has_brand],
        targets[has_brand],
        split.truth(products, *parts).filter(pa.array(has_brand)),
        brands[has_brand],
        taxonomy,
        target_precision=target_precision,
        least=float(CANDIDATES[0]),
    )
