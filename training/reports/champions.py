"""The older model that a report compares with: the bundle that is replaced, or one that was named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.bundle import load_bundle, read_manifest
from models.classifier import Classifier
from models.manifest import MANIFEST, Manifest
from schemas.errors import BundleError, SetupError
from training.comparison import Comparison, compare, rows_learned_from


@dataclass(frozen=True, slots=True, kw_only=True)
class Champion:
    """An older model and its manifest."""

    classifier: Classifier
    manifest: Manifest


def find_champion(named: Path | None, *, replaced: Path) -> Champion | str | None:
    """Load the bundle that is `named`, otherwise the one that is about to be `replaced`.

    None if there is none. A bundle to be replaced that does not load is no reason not to train: then this is a
    sentence that says why. Raises BundleError if the one that was named does not load.
    """
    if named is not None:
        return Champion(classifier=load_bundle(named), manifest=read_manifest(named))
    if not (replaced / MANIFEST).is_file():
        return None
    try:
        return Champion(classifier=load_bundle(replaced), manifest=read_manifest(replaced))
    except BundleError as error:
        return f"The bundle that was there before is not compared with: {error}"


def compare_with_champion(
    champion: Champion, candidate: Classifier, test: pa.Table
) -> tuple[Comparison | None, str | None]:
    """Compare on products of the candidate's test part that the champion has not learned from either.

    Returns the comparison, or None if no product is left, and a sentence on which products these are.
    """
    learned = rows_learned_from(champion.manifest.lineage, test)
    try:
        comparison = compare(champion.classifier, candidate, test, learned_from=learned)
    except SetupError as error:
        return None, str(error)
    return comparison, _note(learned)


def _note(learned: npt.NDArray[np.bool_] | None) -> str:
    if learned is None:
        return (
            "The older bundle does not tell the seed of its split: it may have learned from some of these "
            "products, which would flatter it."
        )
    if not learned.any():
        return "Both were split by the same seed: these products are in the test part of both."
    return (
        "The two were split by different seeds: only products that are in the test part of both are compared, "
        f"{learned.sum():,} of {len(learned):,} are set aside."
    )
