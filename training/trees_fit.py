"""Fit LightGBM: on top of the text scores, or alone on the 19 dense features.

On top means boosting from them (`init_score`), not feeding them in as features. The scores that it starts from
must be out-of-fold: those of the rows that the text model was fitted on are near perfect, and the trees would
learn that nothing is left to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import lightgbm
import numpy as np
import numpy.typing as npt

from features.spec import FeatureSpec
from models.trees import Trees
from schemas.errors import SetupError
from training.progress import Progress

#: A second thread saves half a second on the sample catalogue while the machine is idle. While it is not, the two
#: wait for each other actively: 100 s instead of 2 were measured.
_THREADS: Final = 1

#: Rounds without a better log loss on the calibrate part before fitting ends.
_PATIENCE: Final = 10

#: Trees that make the log loss less than this much better (relatively) are noise, and each costs time on every
#: event.
_WORTHWHILE: Final = 0.005

#: Hashed columns whose values LightGBM may group at will when it has nothing else to go by. On top of text scores
#: they are split as numbers, like all others: on all three validation catalogues grouping fitted the training rows
#: better and new rows worse. So does grouping of the brand x price cross, alone or on top.
_GROUPED_ALONE: Final = ("seller_id_bucket", "brand_bucket", "subcategory_bucket")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Boosting:
    """What differs between the two profiles; chosen by log loss on validation rows.

    On top of text, twice the learning rate costs nothing in accuracy and halves the trees that every event passes.
    """

    rounds: int
    learning_rate: float
    lambda_l2: float


_ON_TEXT: Final = _Boosting(rounds=60, learning_rate=0.2, lambda_l2=10.0)
_ALONE: Final = _Boosting(rounds=150, learning_rate=0.1, lambda_l2=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeRows:
    """Rows to fit or to stop on.

    Attributes:
        dense: float32 (n_rows, spec.dense_width), NaN where missing.
        targets: class of each row.
        text_scores: float64 (n_rows, n_classes) that the trees are added to; None without a text model.
    """

    dense: npt.NDArray[np.float32]
    targets: npt.NDArray[np.int32]
    text_scores: npt.NDArray[np.float64] | None


def fit_trees(
    train: TreeRows, stop: TreeRows, *, spec: FeatureSpec, n_classes: int, seed: int, progress: Progress
) -> Trees:
    """Fit trees to `train` and keep as many as are best for `stop`, by log loss.

    On top of text scores that can be none at all. Deterministic for a seed. Raises SetupError if LightGBM cannot
    fit.
    """
    on_text = train.text_scores is not None
    boosting = _ON_TEXT if on_text else _ALONE
    parameters = {
        "objective": "multiclass",
        "num_class": n_classes,
        "metric": "multi_logloss",
        "learning_rate": boosting.learning_rate,
        "num_leaves": 15,
        "min_data_in_leaf": 20,
        "lambda_l2": boosting.lambda_l2,
        "boost_from_average": not on_text,
        "deterministic": True,
        "force_row_wise": True,
        "seed": seed,
        "num_threads": _THREADS,
        "verbosity": -1,
    }
    names = list(spec.dense)
    grouped: list[str] = [] if on_text else [name for name in _GROUPED_ALONE if name in names]
    fitted_on = lightgbm.Dataset(
        train.dense,
        train.targets,
        init_score=train.text_scores,
        feature_name=names,
        categorical_feature=grouped,
        params=parameters,
    )
    stopped_on = fitted_on.create_valid(stop.dense, stop.targets, init_score=stop.text_scores)
    progress.step("Fitting the trees", boosting.rounds)

    def report(_: lightgbm.callback.CallbackEnv) -> None:
        progress.advance()

    try:
        booster = lightgbm.train(
            parameters,
            fitted_on,
            num_boost_round=boosting.rounds,
            valid_sets=[stopped_on],
            valid_names=["stop"],
            callbacks=[lightgbm.early_stopping(_PATIENCE, verbose=False), report],
        )
    except lightgbm.basic.LightGBMError as error:
        raise SetupError(f"LightGBM cannot fit these products: {error}.") from error
    n_rounds = booster.best_iteration
    if stop.text_scores is not None:
        without = _log_loss(stop.text_scores, stop.targets)
        if booster.best_score["stop"]["multi_logloss"] > (1 - _WORTHWHILE) * without:
            n_rounds = 0
    return Trees.from_booster(booster, n_classes=n_classes, n_iterations=n_rounds)


def _log_loss(scores: npt.NDArray[np.float64], targets: npt.NDArray[np.int32]) -> float:
    shifted = scores - scores.max(axis=1, keepdims=True)
    of_true = shifted[np.arange(len(targets)), targets]
    return float((np.log(np.exp(shifted).sum(axis=1)) - of_true).mean())
