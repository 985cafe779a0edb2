"""The model that a process serves: what decides, and what events, swap records and metrics tell of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from schemas.stages import StageClock


class Taxonomy(Protocol):
    """What a published event tells of the categories."""

    @property
    def version(self) -> str: ...  # noqa: D102  # told above


class Classifier(Protocol):
    """What serving needs of a model: `models.classifier.Classifier` is one."""

    @property
    def name(self) -> str: ...  # noqa: D102  # as published
    @property
    def version(self) -> str: ...  # noqa: D102
    @property
    def feature_fingerprint(self) -> str: ...  # noqa: D102
    @property
    def taxonomy(self) -> Taxonomy: ...  # noqa: D102

    def classify(self, products: pa.RecordBatch, clock: StageClock | None = None) -> pa.RecordBatch:
        """Decide on `columns.PRODUCT`: a batch of `columns.DECISION`, in the order given."""


class ModelStamp(NamedTuple):
    """Which model it is.

    Attributes:
        name: of the bundle.
        version: of the bundle's content.
        registered_version: its number in the model registry, or None if it is not from there.
    """

    name: str
    version: str
    registered_version: int | None = None


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model, and the columns that are the same in all events that it decides on. Replaced, never changed."""

    classifier: Classifier
    stamp: ModelStamp
    constants: Mapping[str, pa.Array[Any]]

    @classmethod
    def of(cls, classifier: Classifier, registered_version: int | None = None) -> ServedModel:
        """Return the model with what is told of it."""
        told = {
            "model_name": classifier.name,
            "model_version": classifier.version,
            "feature_fingerprint": classifier.feature_fingerprint,
            "taxonomy_version": classifier.taxonomy.version,
        }
        return cls(
            classifier,
            ModelStamp(classifier.name, classifier.version, registered_version),
            {name: pa.array([value]) for name, value in told.items()},
        )
