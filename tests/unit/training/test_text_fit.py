from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from features.matrix import vectorize
from features.ngrams import TokenCounts
from features.spec import FeatureSpec, TextBlock
from models.calibration import fit_temperature
from training.progress import SilentProgress
from training.text_fit import TextFit, fit_text_model

SPEC = FeatureSpec(
    profile="text",
    hash_bits=14,
    blocks=(TextBlock(field="title", kind="word", shortest=1, longest=1),),
    dense=("title_words",),
)
RANDOM = np.random.default_rng(2)
FOLDS = RANDOM.integers(0, 4, 400).astype(np.int8)


def tokens_of(titles: list[str]) -> TokenCounts:
    return vectorize(pa.record_batch({"title": titles}), SPEC).tokens


def fit(titles: list[str], targets: npt.NDArray[np.int32]) -> TextFit:
    return fit_text_model(
        tokens_of(titles), targets, FOLDS, spec=SPEC, n_classes=3, seed=0, progress=SilentProgress()
    )


def test_out_of_fold_scores_never_saw_their_own_row() -> None:
    targets = RANDOM.integers(0, 3, 400).astype(np.int32)
    titles = [f"unique{row}" for row in range(400)]  # each row can be learned by heart, and only so
    fitted = fit(titles, targets)

    by_heart = fitted.model.scores(tokens_of(titles)).argmax(axis=1)
    held_out = fitted.out_of_fold.argmax(axis=1)
    assert np.mean(by_heart == targets) > 0.95
    assert np.mean(held_out == targets) < 0.45


def test_scores_are_logits_on_the_scale_of_rows_not_seen() -> None:
    targets = RANDOM.integers(0, 3, 400).astype(np.int32)
    words = ("mower", "laptop", "speaker")
    titles = [
        f"{words[target if RANDOM.random() < 0.8 else RANDOM.integers(3)]} {RANDOM.integers(50)}"
        for target in targets
    ]
    fitted = fit(titles, targets)

    assert abs(fit_temperature(fitted.out_of_fold, targets.astype(np.int64)).temperature - 1) < 1e-3
    of_all = fitted.model.scores(tokens_of(titles))
    assert 0.8 < np.abs(of_all).mean() / np.abs(fitted.out_of_fold).mean() < 1.25
    assert np.mean(fitted.out_of_fold.argmax(axis=1) == targets) > 0.7


def test_fitting_again_gives_the_same_bits() -> None:
    targets = RANDOM.integers(0, 3, 400).astype(np.int32)
    titles = [f"word{row % 37} other{target}" for row, target in enumerate(targets)]
    first, again = fit(titles, targets), fit(titles, targets)

    assert first.model.kept_weights().tobytes() == again.model.kept_weights().tobytes()
    assert first.out_of_fold.tobytes() == again.out_of_fold.tobytes()


def test_an_interrupted_fit_leaves_no_thread_at_work() -> None:
    class Impatient(SilentProgress):
        def advance(self, amount: int = 1) -> None:
            raise KeyboardInterrupt

    before = set(threading.enumerate())
    tokens = tokens_of([f"word{row % 37}" for row in range(400)])
    targets = (np.arange(400) % 3).astype(np.int32)
    with pytest.raises(KeyboardInterrupt):
        fit_text_model(tokens, targets, FOLDS, spec=SPEC, n_classes=3, seed=0, progress=Impatient())
    assert set(threading.enumerate()) == before
