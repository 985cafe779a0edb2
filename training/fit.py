"""From labelled products to a model bundle and what it is worth.

    products ─ latest row each ─ split by group ─┬ train      text model, trees
                                                 ├ calibrate  text model, how many trees, calibration, thresholds
                                                 └ test       evaluation, self-check

The text model learns from the calibrate part, too. What is fitted after it sees, of either part, the scores of
models that were fitted without the row's fold, never those of the model that is kept (docs/decisions/0013).

The same products, seed and settings give the same bundle, byte for byte but for `created_at`, whether they come
from a file or from the topic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from features.matrix import FeatureMatrix, vectorize
from features.prices import fit_price_edges
from features.spec import FeatureSpec, Profile, classic_spec, text_spec
from models.bundle import Manifest, save_bundle
from schemas.columns import PRODUCT
from schemas.errors import SetupError
from training.catalog import content_digest, latest_products, require_labels
from training.evaluation import Evaluation, evaluate, metrics_of
from training.fitting import Split, fit_classifier
from training.labels import EXCLUDED, TrainedLabels, merge_small_categories
from training.many_classes import MOST_CLASSES_WITH_TREES, hash_bits_for
from training.outcomes import as_batch, outcomes_of
from training.progress import Progress
from training.reports import find_champion, render, report_of_training, write_report
from training.row_digests import row_digests
from training.splits import CALIBRATE, TEST, TRAIN, assign_folds, assign_parts, groups_of
from training.thresholds import ThresholdChoice
from training.tracking import log_training
from training.true_paths import paths_of

DEFAULT_MIN_PRODUCTS: Final = 20
DEFAULT_TARGET_PRECISION: Final = 0.95

#: A fold's text model is then fitted on as much as the train part, 64 % of the products.
_FOLDS: Final = 5
_SELF_CHECK_ROWS: Final = 32
_PART_NAMES: Final = {TRAIN: "train", CALIBRATE: "calibrate", TEST: "test"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """A bundle that was written, and how it came out.

    Attributes:
        path: the bundle's folder.
        manifest: what it says.
        evaluation: on the test part.
        choice: the thresholds, chosen on the calibrate part.
        labels: which categories became classes; `merged` and `excluded` name those that did not.
        rows: products by part (`train`, `calibrate`, `test`), without those excluded from the first two.
        n_trees: trees kept, rounds times classes; 0 if none made the text model better.
        left_out: what the model goes without for having so many categories, one sentence each.
        report: folder of the report; None without one.
        tracking_run: id of the MLflow run; None without tracking.
        unlogged: what `log_result` tells MLflow beside the above.
    """

    path: Path
    manifest: Manifest
    evaluation: Evaluation
    choice: ThresholdChoice
    labels: TrainedLabels
    rows: Mapping[str, int]
    n_trees: int
    left_out: tuple[str, ...]
    report: Path | None
    tracking_run: str | None
    unlogged: Unlogged


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlogged:
    """What MLflow is told of a training beside its bundle and figures.

    Attributes:
        products: the latest row of each, all columns.
        test: those of the test part.
        report: the report's files.
        parameters: the settings.
    """

    products: pa.Table
    test: pa.Table
    report: Mapping[str, str]
    parameters: Mapping[str, object]


def fit_bundle(
    products: pa.Table,
    *,
    profile: Profile,
    seed: int,
    to: Path,
    lineage: Mapping[str, object],
    progress: Progress,
    min_products: int = DEFAULT_MIN_PRODUCTS,
    target_precision: float = DEFAULT_TARGET_PRECISION,
    tracking_uri: str | None = None,
    name: str = "sortline",
    report_to: Path | None = None,
    compare_with: Path | None = None,
    most_classes_with_trees: int = MOST_CLASSES_WITH_TREES,
) -> TrainingResult:
    """Fit, calibrate and evaluate a model, and write its bundle to the folder `to`, whole or not at all.

    `products` has the columns of `LABELLED_PRODUCT`, in any order of rows, and may have `group` (otherwise
    products are grouped by folded title). `lineage` says where they come from; digest, rows and settings are
    added. Once the bundle is written, its report is, too, into the folder `report_to`, and with a `tracking_uri`
    the run is logged to MLflow. The report compares with the bundle `compare_with`, or with the one that is
    replaced.

    With more than `most_classes_with_trees` categories the model goes without trees and more
    (`training.many_classes`); the manifest's metrics list it as `left_out`.

    Raises SetupError if there are fewer than two categories or too few products to split, or too many categories
    for the classic profile.
    """
    is_reported = report_to is not None or tracking_uri is not None
    former = find_champion(compare_with, replaced=to) if is_reported else None
    progress.step("Preparing the products")
    require_labels(products, "training")
    products = latest_products(products)
    split = _split(products, seed=seed, min_products=min_products)
    n_classes = len(split.labels.leaves)
    if profile == "classic" and n_classes > most_classes_with_trees:
        raise SetupError(
            f"{n_classes:,} categories are too many for the classic profile, which has trees alone: train with "
            f"--profile text, or with a larger --min-products until they are {most_classes_with_trees:,} or fewer."
        )
    spec = _spec(profile, split.part(products, TRAIN), n_classes)

    progress.step("Computing features", 3)
    features: dict[int, FeatureMatrix] = {}
    for part in _PART_NAMES:
        features[part] = vectorize(as_batch(split.part(products, part).select(PRODUCT.names)), spec)
        progress.advance()

    fitted = fit_classifier(
        split,
        products,
        features,
        spec=spec,
        name=name,
        seed=seed,
        target_precision=target_precision,
        most_classes_with_trees=most_classes_with_trees,
        progress=progress,
    )
    classifier, calibrated, choice = fitted.classifier, fitted.calibrated, fitted.choice
    progress.step("Evaluating on the test part")
    test = split.part(products, TEST)
    outcomes = outcomes_of(classifier, features[TEST], test)
    evaluation = evaluate(outcomes)

    progress.step("Writing the bundle")
    rows = {name: int((split.parts == part).sum()) for part, name in _PART_NAMES.items()}
    manifest = save_bundle(
        classifier,
        to,
        metrics={
            **metrics_of(evaluation),
            "rows": rows,
            "calibration": calibrated.to_json(),
            "thresholds": choice.to_json(classifier.taxonomy),
            "threshold_coverage": choice.coverage,
            **({"left_out": list(fitted.left_out)} if fitted.left_out else {}),
        },
        lineage={
            **lineage,
            "content_digest": content_digest(products),
            "rows": products.num_rows,
            "seed": seed,
            "min_products": min_products,
        },
        self_check=_self_check_rows(test),
        created_at=datetime.now(UTC),
        target_precision=target_precision,
    )
    contents: Mapping[str, str] = {}
    if is_reported:
        progress.step("Writing the report")
        contents = render(report_of_training(classifier, manifest, outcomes, test, split.labels, former))
    if report_to is not None:
        write_report(contents, report_to)
    result = TrainingResult(
        path=to,
        manifest=manifest,
        evaluation=evaluation,
        choice=choice,
        labels=split.labels,
        rows=rows,
        n_trees=classifier.trees.n_trees,
        left_out=fitted.left_out,
        report=report_to,
        tracking_run=None,
        unlogged=Unlogged(
            products=products,
            test=test,
            report=contents,
            parameters={
                "profile": profile,
                "seed": seed,
                "min_products": min_products,
                "target_precision": target_precision,
                **{f"threshold_{name}": value for name, value in classifier.thresholds.summary().items()},
                "calibration": calibrated.method,
                "temperature": classifier.calibration.temperature,
                "trees": classifier.trees.n_trees,
                "classes": len(split.labels.leaves),
                "products": products.num_rows,
                "content_digest": manifest.lineage["content_digest"],
                "version": manifest.version,
            },
        ),
    )
    if tracking_uri is None:
        return result
    return log_result(result, tracking_uri=tracking_uri, progress=progress)


def log_result(result: TrainingResult, *, tracking_uri: str, progress: Progress) -> TrainingResult:
    """Log the run to MLflow and register its bundle; return the result with the run's id.

    Raises DependencyUnavailableError if MLflow does not answer: the bundle stays as it is.
    """
    progress.step("Logging the run to MLflow")
    run = log_training(
        result.path,
        result.manifest,
        result.evaluation,
        test=result.unlogged.test,
        row_digests=row_digests(result.unlogged.products),
        report=result.unlogged.report,
        parameters=result.unlogged.parameters,
        tracking_uri=tracking_uri,
    )
    return replace(result, tracking_run=run)


_NO_PART: Final = -1


def _split(products: pa.Table, *, seed: int, min_products: int) -> Split:
    groups = groups_of(products)
    parts = assign_parts(groups, seed=seed)
    folds = assign_folds(groups, _FOLDS, seed=seed)
    labels = merge_small_categories(
        paths_of(products["category_path"]),
        is_train=parts == TRAIN,
        min_products=min_products,
    )
    too_few = SetupError(
        f"{products.num_rows} products in {len(groups.unique())} groups of the same title are too few to "
        "split into parts to train on, to calibrate on and to test on: a hundred is a start."
    )
    if len(groups.unique()) == 1:
        raise too_few
    if len(labels.leaves) < 2:
        raise SetupError(
            f"{products.num_rows} products in {len(labels.leaves)} categories that can be trained are not enough: "
            f"a model needs two categories with at least {min_products} products each (--min-products)."
        )
    parts = np.where((labels.targets == EXCLUDED) & (parts != TEST), _NO_PART, parts).astype(np.int8)
    if any(not (parts == part).any() for part in _PART_NAMES) or len(np.unique(folds[parts == TRAIN])) < 2:
        raise too_few
    return Split(parts=parts, folds=folds, labels=labels)


def _spec(profile: Profile, train: pa.Table, n_classes: int) -> FeatureSpec:
    edges = fit_price_edges(train)
    if profile == "classic":
        return classic_spec(edges)
    return replace(text_spec(edges), hash_bits=hash_bits_for(n_classes))


def _self_check_rows(test: pa.Table) -> pa.RecordBatch:
    """Return up to 32 products, evenly spaced over the test part in order of product_id."""
    chosen = np.unique(np.linspace(0, test.num_rows - 1, _SELF_CHECK_ROWS).astype(np.int64))
    return as_batch(test.select(PRODUCT.names).take(chosen))
