"""The model as a plain export: numpy arrays, LightGBM's text and a JSON file; scored a batch at a time.

`export`, which is given a classifier of the project, writes it; the rest needs numpy, scipy and LightGBM only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import lightgbm
import numpy as np
import numpy.typing as npt
from scipy import sparse

if TYPE_CHECKING:
    from models.classifier import Classifier

_N_ALTERNATIVES: Final = 3
_ARRAYS: Final = "arrays.npz"
_TREES: Final = "trees.txt"
_ABOUT: Final = "about.json"


@dataclass(frozen=True, slots=True)
class Decision:
    """What the model says of one product; alternatives are pairs of path and probability."""

    path: list[str]
    confidence: float
    decision: str
    alternatives: list[tuple[list[str], float]]


def export(classifier: Classifier, to: Path) -> Path:
    """Write a classifier of the `text` profile to the folder `to`, and return it."""
    if classifier.text is None:
        raise SystemExit("the benchmark needs a bundle of the profile text")
    to.mkdir(parents=True, exist_ok=True)
    text, calibration = classifier.text, classifier.calibration
    np.savez(
        to / _ARRAYS,
        idf=text.weighting.idf,
        block_weights=text.weighting.block_weights,
        buckets=text.buckets,
        weights=text.kept_weights(),
        bias=text.bias,
        class_bias=np.zeros(text.n_classes) if calibration.bias is None else calibration.bias,
        brands=np.zeros(0, np.uint32) if classifier.familiarity is None else classifier.familiarity.brands,
    )
    caution = classifier.caution
    (to / _TREES).write_text(classifier.trees.model_text, encoding="utf-8")
    about = {
        "spec": classifier.spec.to_json(),
        "leaves": classifier.taxonomy.leaves,
        "temperature": calibration.temperature,
        "thresholds": [x if np.isfinite(x) else None for x in classifier.thresholds.nodes.tolist()],
        "unseen_brand": None if caution is None else [caution.temperature, caution.threshold],
        "constants": {
            "model_name": classifier.name,
            "model_version": classifier.version,
            "feature_fingerprint": classifier.feature_fingerprint,
            "taxonomy_version": classifier.taxonomy.version,
        },
    }
    (to / _ABOUT).write_text(json.dumps(about), encoding="utf-8")
    return to


class PlainModel:
    """The exported model.

    Attributes:
        spec: of the features, as JSON.
        constants: what every published event tells of the model.
    """

    def __init__(self, folder: Path) -> None:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        self.spec: Mapping[str, Any] = about["spec"]
        self.constants: dict[str, str] = about["constants"]
        self._thresholds = [2.0 if x is None else float(x) for x in about["thresholds"]]  # 2: never
        self._temperature: float = about["temperature"]
        self._unseen_brand: tuple[float, float] | None = about["unseen_brand"]
        arrays = np.load(folder / _ARRAYS)
        self._idf, self._block_weights = arrays["idf"], arrays["block_weights"].astype(np.float64)
        self._weights, self._bias, self._class_bias = arrays["weights"], arrays["bias"], arrays["class_bias"]
        self._brands = frozenset(arrays["brands"].tolist())
        self._slot = np.full(len(self._idf), -1, np.int32)
        self._slot[arrays["buckets"]] = np.arange(len(arrays["buckets"]), dtype=np.int32)
        trees = (folder / _TREES).read_text(encoding="utf-8")
        self._booster = lightgbm.Booster(model_str=trees) if trees else None
        self._leaves: list[tuple[str, ...]] = [tuple(path) for path in about["leaves"]]
        self._nodes = sorted({path[:depth] for path in self._leaves for depth in range(1, len(path) + 1)})
        self._is_below = np.array(
            [[leaf[: len(node)] == node for node in self._nodes] for leaf in self._leaves], np.float64
        )
        self._leaf_node = [self._nodes.index(path) for path in self._leaves]
        self._children = {
            parent: [i for i, node in enumerate(self._nodes) if node[:-1] == parent]
            for parent in [(), *self._nodes]
        }

    def decide(
        self,
        tokens: Sequence[Sequence[Mapping[int, int]]],
        dense: Sequence[Sequence[float]],
        brands: Sequence[int | None],
    ) -> list[Decision]:
        """Decide on a batch: for each product blocks of bucket counts, dense features, hash of the brand."""
        scores = self._text_scores(tokens)
        temperatures = np.full(len(scores), self._temperature)
        floors = np.zeros(len(scores))
        is_new = np.array([brand is not None and brand not in self._brands for brand in brands], np.bool_)
        is_new &= self._unseen_brand is not None
        if self._unseen_brand is not None:
            temperatures[is_new], floors[is_new] = self._unseen_brand
        if self._booster is not None:
            # One thread, as in the worker: with more, LightGBM's threads spin between calls and cost more CPU.
            trees = self._booster.predict(np.array(dense, np.float32), raw_score=True, num_threads=1)
            scores += np.where(is_new[:, None], 0.0, trees)
        scaled = scores / temperatures[:, None] + self._class_bias
        probabilities = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        best = np.argsort(-probabilities, axis=1, kind="stable")[:, :_N_ALTERNATIVES]
        sums = (probabilities @ self._is_below).tolist()
        rows = zip(probabilities.tolist(), best.tolist(), sums, floors.tolist(), strict=True)
        return [self._choose(*row) for row in rows]

    def _text_scores(self, tokens: Sequence[Sequence[Mapping[int, int]]]) -> npt.NDArray[np.float64]:
        blocks = [block for product in tokens for block in product]
        n_blocks = len(self._block_weights)
        buckets = np.array([bucket for block in blocks for bucket in block], np.int32)
        counts = np.array([count for block in blocks for count in block.values()], np.float64)
        block_of = np.repeat(np.arange(len(blocks)), [len(block) for block in blocks])
        weights = self._idf[buckets] * (1.0 + np.log(counts))
        norms = np.sqrt(np.bincount(block_of, weights * weights, minlength=len(blocks)))
        scales = np.tile(self._block_weights, len(tokens)) / np.where(norms > 0, norms, 1.0)
        slots = self._slot[buckets]
        known = slots >= 0
        rows = sparse.csr_matrix(
            ((weights * scales[block_of])[known].astype(np.float32), (block_of[known] // n_blocks, slots[known])),
            shape=(len(tokens), len(self._weights)),
        )
        return np.asarray(rows @ self._weights + self._bias, np.float64)

    def _choose(
        self, probabilities: Sequence[float], best: Sequence[int], sums: Sequence[float], floor: float
    ) -> Decision:
        chosen, decision = self._leaf_node[best[0]], "review"
        if probabilities[best[0]] >= max(self._thresholds[chosen], floor):
            decision = "accepted"
        else:
            parent: tuple[str, ...] = ()
            while children := self._children[parent]:
                likeliest = max(children, key=sums.__getitem__)
                parent = self._nodes[likeliest]
                if sums[likeliest] >= max(self._thresholds[likeliest], floor):
                    chosen, decision = likeliest, "backed_off" if parent in self._children else "accepted"
        return Decision(
            list(self._nodes[chosen]),
            min(1.0, sums[chosen]),
            decision,
            [(list(self._leaves[leaf]), probabilities[leaf]) for leaf in best],
        )
