"""Labels that are probably wrong: those that a model contradicts which never saw the product.

The products are divided into folds by group, never by row, and each is judged by a text model fitted on the other
folds. Were a repeated title on both sides, the model would know the wrong label by heart and agree with it.

Which contradictions count follows confident learning (Northcutt et al., Confident Learning, JAIR 2021): the
threshold of a class is the mean probability that the products labelled with it get for it. A label is suspect if
another class is the most probable and passes its threshold: the model says it as surely as of products that are
labelled so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.matrix import vectorize
from features.prices import fit_price_edges
from features.spec import text_spec
from models.calibration import Calibration
from models.taxonomy import Path
from schemas.columns import PRODUCT
from schemas.errors import SetupError
from training.catalog import latest_products, require_labels
from training.labels import EXCLUDED, TrainedLabels, merge_small_categories
from training.outcomes import as_batch
from training.progress import Progress
from training.splits import assign_folds, groups_of
from training.text_fit import fit_text_model
from training.title_conflicts import TitleConflict, conflicting_titles
from training.true_paths import paths_of

_FOLDS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Suspects:
    """Rows whose label is probably wrong, the likeliest first.

    Attributes:
        rows: int64, positions.
        suggested: int64, the class that each seems to be.
        confidence: float64, its out-of-fold probability.
    """

    rows: npt.NDArray[np.int64]
    suggested: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelAudit:
    """What an audit found.

    Attributes:
        products: the latest row of each product, sorted by product_id; rows below are positions in it.
        labels: which categories became classes.
        n_judged: products that a model could judge; it cannot where the label stands in one fold only.
        agreement: share of those whose label is the most probable class.
        suspects: products whose label the model contradicts.
        conflicts: titles with different labels.
    """

    products: pa.Table
    labels: TrainedLabels
    n_judged: int
    agreement: float
    suspects: Suspects
    conflicts: tuple[TitleConflict, ...]


def audit_labels(products: pa.Table, *, seed: int, min_products: int, progress: Progress) -> LabelAudit:
    """Judge every label by models that never saw its product or one of the same group.

    `products` has the columns of `LABELLED_PRODUCT` and may have `group`, as for `training.fit.fit_bundle`; small
    categories are trained as their parents, as there. Deterministic.

    Raises SetupError if there are fewer than two categories, or too few groups, to judge by.
    """
    progress.step("Preparing the products")
    require_labels(products, "an audit")
    products = latest_products(products)
    paths = paths_of(products["category_path"])
    folds = assign_folds(groups_of(products), _FOLDS, seed=seed)
    labels = merge_small_categories(paths, is_train=np.ones(len(paths), np.bool_), min_products=min_products)
    judged = _can_be_judged(labels.targets, folds, n_classes=len(labels.leaves))
    if len(np.unique(labels.targets[judged])) < 2:
        raise SetupError(
            f"The {products.num_rows} products do not have two categories with products of different titles: "
            "there is nothing to judge a label by."
        )
    conflicts = conflicting_titles(cast("list[str]", products["title"].to_pylist()), paths)
    progress.step("Computing features")
    some = products.filter(pa.array(judged))
    spec = text_spec(fit_price_edges(some))
    tokens = vectorize(as_batch(some.select(PRODUCT.names)), spec).tokens
    targets = labels.targets[judged]
    scores = fit_text_model(
        tokens,
        targets,
        folds[judged],
        spec=spec,
        n_classes=len(labels.leaves),
        seed=seed,
        progress=progress,
    ).out_of_fold
    progress.step("Ranking the suspects")
    probabilities = Calibration().probabilities(scores)
    found = rank_suspects(probabilities, targets)
    places = np.flatnonzero(judged)
    # Trained as an ancestor is not wrong: "Case" says nothing against "Case > Fan".
    against = np.array(
        [
            paths[places[row]][: len(labels.leaves[k])] != labels.leaves[k]
            for row, k in zip(found.rows.tolist(), found.suggested.tolist(), strict=True)
        ],
        np.bool_,
    )
    return LabelAudit(
        products=products,
        labels=labels,
        n_judged=len(places),
        agreement=float((probabilities.argmax(axis=1) == targets).mean()),
        suspects=Suspects(
            rows=places[found.rows[against]],
            suggested=found.suggested[against],
            confidence=found.confidence[against],
        ),
        conflicts=conflicts,
    )


def rank_suspects(probabilities: npt.NDArray[np.float64], targets: npt.NDArray[np.int32]) -> Suspects:
    """Return the rows whose label another class contradicts, see the module; the likeliest to be wrong first.

    `probabilities` is float64 (n, n_classes), out-of-fold and calibrated; `targets` the class of each row's label.
    The order is that of the label's own probability, lowest first: docs/labels.md compares it with others. Equals
    stay in the order of the rows.
    """
    rows = np.arange(len(targets))
    own = probabilities[rows, targets]
    counts = np.bincount(targets, minlength=probabilities.shape[1])
    sums = np.bincount(targets, weights=own, minlength=probabilities.shape[1])
    thresholds = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)
    suggested = probabilities.argmax(axis=1)
    is_suspect = (suggested != targets) & (probabilities[rows, suggested] >= thresholds[suggested])
    order = np.argsort(own[is_suspect], kind="stable")
    chosen = np.flatnonzero(is_suspect)[order]
    return Suspects(rows=chosen, suggested=suggested[chosen], confidence=probabilities[chosen, suggested[chosen]])


def label_path(audit: LabelAudit, suspect: int) -> Path:
    """Return the path that is suggested to the suspect at this rank, from 0."""
    return audit.labels.leaves[int(audit.suspects.suggested[suspect])]


def _can_be_judged(
    targets: npt.NDArray[np.int32], folds: npt.NDArray[np.int8], *, n_classes: int
) -> npt.NDArray[np.bool_]:
    """Tell of each row whether a model that did not see its fold can know its class."""
    is_in = np.zeros((n_classes, _FOLDS), np.bool_)
    is_trained = targets != EXCLUDED
    is_in[targets[is_trained], folds[is_trained]] = True
    can: npt.NDArray[np.bool_] = is_trained.copy()
    can[is_trained] = is_in.sum(axis=1)[targets[is_trained]] > 1
    return can
