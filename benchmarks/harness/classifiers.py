"""The ways to classify products that accuracy is compared over: two of scikit-learn's, three of this project's.

All get the same products, split and seed. This project's set 16 % of the products aside to calibrate on (the text
model is fitted on those, too); scikit-learn's machines calibrate nothing, and are fitted on all 80 % outside the
test part.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.sparse import hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import f1_score
from sklearn.svm import LinearSVC

from features.matrix import vectorize
from features.spec import TEXT_FIELDS, Profile
from models.bundle import load_bundle
from models.classifier import Classifier
from models.trees import Trees
from schemas.columns import PRODUCT
from training.catalog import latest_products
from training.evaluation import Evaluation, evaluate_classifier
from training.fit import fit_bundle
from training.outcomes import as_batch
from training.progress import SilentProgress
from training.splits import TEST, assign_parts, groups_of

#: Products a call, as a worker gets them, and how many are classified to take the time.
_CALL_ROWS: Final = 2_000
_TIMED_ROWS: Final = 10_000
_TURNS: Final = 3

TITLES: Final = {
    "bar": "TF-IDF words, title characters 3–5, LinearSVC",
    "words": "TF-IDF words, LinearSVC",
    "classic": "`classic`: LightGBM alone, 19 features",
    "text alone": "`text` without its trees",
    "text": "`text`: text model and trees (default)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one way did on the test part of one split.

    Attributes:
        accuracy, macro_f1: of the most probable category; macro-F1 is the mean over categories with test products.
        ece: expected calibration error; None for a way that gives no probabilities.
        coverage, precision: share of products that are published at the bundle's thresholds, and share of
            those that are right; None likewise.
        as_leaf: share of products that are published with a leaf of the taxonomy; the rest of `coverage` is backed
            off to an ancestor.
        fit_seconds: CPU, from products to something that classifies; this project's include calibration,
            evaluation and writing the bundle.
        event_us: CPU µs to classify one product, text in and category out, one thread.
    """

    way: str
    accuracy: float
    macro_f1: float
    ece: float | None
    coverage: float | None
    precision: float | None
    as_leaf: float | None
    fit_seconds: float
    event_us: float


def measure(
    products: pa.Table, seed: int, ways: Sequence[str], started: Callable[[str], None]
) -> Iterator[Outcome]:
    """Fit and measure each way on the same split; `started` is told before each fit."""
    products = latest_products(products)
    is_test = assign_parts(groups_of(products), seed=seed) == TEST
    for way, with_characters in (("words", False), ("bar", True)):
        if way in ways:
            started(way)
            yield _machines(way, products, is_test, with_characters=with_characters)
    if "classic" in ways:
        started("classic")
        yield from _ours("classic", products, is_test, seed, ("classic",))
    if wanted := [way for way in ("text alone", "text") if way in ways]:
        started(" and ".join(wanted))
        yield from _ours("text", products, is_test, seed, wanted)


def _machines(way: str, products: pa.Table, is_test: npt.NDArray[np.bool_], *, with_characters: bool) -> Outcome:
    """Fit scikit-learn's linear machines, one against the rest, with its defaults."""
    columns = [products[name].to_pylist() for name in TEXT_FIELDS]
    texts = [" ".join(filter(None, row)) for row in zip(*columns, strict=True)]
    titles: list[str] = products["title"].to_pylist()
    paths = [" > ".join(path) for path in products["category_path"].to_pylist()]
    learned, tested = np.flatnonzero(~is_test), np.flatnonzero(is_test)

    started = time.process_time()
    readers = [(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32), texts)]
    if with_characters:
        characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, dtype=np.float32)
        readers.append((characters, titles))
    rows = hstack([reader.fit_transform(_at(source, learned)) for reader, source in readers], format="csr")
    machines = LinearSVC().fit(rows, _at(paths, learned))
    fit_seconds = time.process_time() - started

    def classify(some: npt.NDArray[np.int64]) -> Any:
        read = [reader.transform(_at(source, some)) for reader, source in readers]
        return machines.predict(hstack(read, format="csr"))

    truth = _at(paths, tested)
    found = np.concatenate([classify(some) for some in _calls(tested)])
    return Outcome(
        way=way,
        accuracy=float(np.mean(found == np.array(truth))),
        macro_f1=float(f1_score(truth, found, labels=sorted(set(truth)), average="macro")),
        ece=None,
        coverage=None,
        precision=None,
        as_leaf=None,
        fit_seconds=fit_seconds,
        event_us=_event_us(classify, tested),
    )


def _ours(
    profile: Profile, products: pa.Table, is_test: npt.NDArray[np.bool_], seed: int, ways: Sequence[str]
) -> Iterator[Outcome]:
    """Fit a bundle as `sortline train` does, and measure it with its trees and without."""
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        fitted = fit_bundle(
            products, profile=profile, seed=seed, to=Path(folder) / "bundle", lineage={}, progress=SilentProgress()
        )
        fit_seconds = time.process_time() - started
        classifier = load_bundle(fitted.path)
    test = products.filter(pa.array(is_test))
    for way in ways:
        if way != "text alone":
            yield _outcome(way, classifier, fitted.evaluation, test, fit_seconds)
            continue
        bare = replace(classifier, trees=Trees(model_text="", n_classes=classifier.taxonomy.n_leaves))
        yield _outcome(way, bare, evaluate_classifier(bare, test), test, fit_seconds)


def _outcome(way: str, classifier: Classifier, found: Evaluation, test: pa.Table, fit_seconds: float) -> Outcome:
    batch = as_batch(test.select(PRODUCT.names))

    def classify(rows: npt.NDArray[np.int64]) -> Any:
        some = batch.slice(int(rows[0]), len(rows))
        return classifier.probabilities(vectorize(some, classifier.spec)).argmax(axis=1)

    return Outcome(
        way=way,
        accuracy=found.accuracy,
        macro_f1=found.macro_f1,
        ece=found.ece,
        coverage=found.coverage,
        precision=found.precision,
        as_leaf=found.accepted,
        fit_seconds=fit_seconds,
        event_us=_event_us(classify, np.arange(batch.num_rows)),
    )


def _event_us(classify: Callable[[npt.NDArray[np.int64]], Any], rows: npt.NDArray[np.int64]) -> float:
    """Return CPU µs a row, the best of some turns."""
    rows = rows[:_TIMED_ROWS]
    best = float("inf")
    for _ in range(_TURNS):
        started = time.process_time()
        for some in _calls(rows):
            classify(some)
        best = min(best, time.process_time() - started)
    return best / len(rows) * 1e6


def _calls(rows: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    return [rows[start : start + _CALL_ROWS] for start in range(0, len(rows), _CALL_ROWS)]


def _at(values: Sequence[str], rows: npt.NDArray[np.int64]) -> list[str]:
    return [values[row] for row in rows.tolist()]
