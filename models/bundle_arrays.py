"""The arrays of a bundle, by name, and their file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors import numpy as safetensors_numpy

from features.spec import Profile
from models.classifier import Classifier
from models.familiarity import Familiarity
from models.seen_hashes import SeenHashes
from models.text_model import TextModel
from models.thresholds import Thresholds
from models.weighting import Weighting
from schemas.errors import BundleError, SetupError

Arrays = Mapping[str, npt.NDArray[np.generic]]

CALIBRATION_BIAS: Final = "calibration.bias"
_THRESHOLDS: Final = ("thresholds.nodes", "thresholds.pooled")
SELF_CHECK: Final = "self_check.probabilities"
_TEXT: Final = ("text.idf", "text.block_weights", "text.buckets", "text.weights", "text.bias")
_BRANDS: Final = "seen.brands"
_SELLERS: Final = "seen.sellers"
_NGRAMS: Final = "seen.ngrams"


def from_classifier(classifier: Classifier) -> dict[str, npt.NDArray[np.generic]]:
    """Return the arrays that decisions depend on; views, save for the text model's weights."""
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    if classifier.text is not None:
        arrays["text.idf"] = classifier.text.weighting.idf
        arrays["text.block_weights"] = classifier.text.weighting.block_weights
        arrays["text.buckets"] = classifier.text.buckets
        arrays["text.weights"] = classifier.text.kept_weights()
        arrays["text.bias"] = classifier.text.bias
    if classifier.familiarity is not None:
        arrays[_BRANDS] = classifier.familiarity.brands
        arrays[_SELLERS] = classifier.familiarity.sellers
        if classifier.familiarity.ngrams is not None:
            arrays[_NGRAMS] = classifier.familiarity.ngrams.words
    arrays[_THRESHOLDS[0]] = classifier.thresholds.nodes
    arrays[_THRESHOLDS[1]] = np.array([classifier.thresholds.pooled])
    if classifier.calibration.bias is not None:
        arrays[CALIBRATION_BIAS] = classifier.calibration.bias
    return arrays


def to_bytes(arrays: Arrays) -> bytes:
    """Return the safetensors file: the same arrays give the same bytes."""
    contiguous = {name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}
    return bytes(safetensors_numpy.save(contiguous))


def from_bytes(content: bytes, file: str) -> dict[str, npt.NDArray[np.generic]]:
    """Read what `to_bytes` gave; BundleError if it is no safetensors file."""
    try:
        return dict(safetensors_numpy.load(content))
    except SafetensorError as error:
        raise BundleError(f"{file} is not a safetensors file ({error}): fetch the bundle again.") from error


def check_names(arrays: Arrays, *, profile: Profile, with_bias: bool, file: str) -> None:
    """Raise BundleError unless there is exactly what such a model has; what was seen may be missing."""
    is_text = profile == "text"
    expected = {SELF_CHECK, *_THRESHOLDS, *(_TEXT if is_text else ()), *([CALIBRATION_BIAS] if with_bias else ())}
    if _BRANDS in arrays:
        expected |= {_BRANDS, _SELLERS, *([_NGRAMS] if is_text else ())}
    if wrong := sorted(expected ^ set(arrays)):
        raise BundleError(f"{file} lacks, or has one too many, array {wrong[0]!r}: train anew.")


def text_model(arrays: Arrays) -> TextModel:
    """Build the text model; SetupError if the arrays have other types or do not fit together."""
    return TextModel(
        weighting=Weighting(
            idf=cast("npt.NDArray[np.float32]", arrays["text.idf"]),
            block_weights=cast("npt.NDArray[np.float32]", arrays["text.block_weights"]),
        ),
        buckets=cast("npt.NDArray[np.int32]", arrays["text.buckets"]),
        weights=cast("npt.NDArray[np.float32]", arrays["text.weights"]),
        bias=cast("npt.NDArray[np.float32]", arrays["text.bias"]),
    )


def thresholds(arrays: Arrays) -> Thresholds:
    """Build the thresholds; SetupError if the arrays cannot be that."""
    nodes, pooled = (cast("npt.NDArray[np.float64]", arrays[name]) for name in _THRESHOLDS)
    if pooled.shape != (1,):
        raise SetupError(f"The pooled threshold is an array of shape {pooled.shape}, not one number.")
    return Thresholds(nodes=nodes, pooled=float(pooled[0]))


def familiarity(arrays: Arrays) -> Familiarity | None:
    """Build what was seen in training, if it is there; SetupError if the arrays cannot be that."""
    if _BRANDS not in arrays:
        return None
    ngrams = cast("npt.NDArray[np.uint64] | None", arrays.get(_NGRAMS))
    return Familiarity(
        brands=cast("npt.NDArray[np.uint32]", arrays[_BRANDS]),
        sellers=cast("npt.NDArray[np.uint32]", arrays[_SELLERS]),
        ngrams=None if ngrams is None else SeenHashes(words=ngrams),
    )


def calibration_bias(arrays: Arrays) -> npt.NDArray[np.float64] | None:
    """Return the calibration's bias of each class, if there is one; `Calibration` checks its type."""
    return cast("npt.NDArray[np.float64] | None", arrays.get(CALIBRATION_BIAS))
