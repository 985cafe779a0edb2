"""The model that a gateway serves now."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from models.serving.described import DescribedModel
from models.serving.served import ModelStamp


@dataclass(frozen=True, slots=True)
class SlottedModel:
    """A model, since when it is served, and what every answer tells of it. Replaced, never changed."""

    model: DescribedModel
    stamp: ModelStamp
    since_ms: int
    told: dict[str, Any]


class ModelSlot:
    """Holds the model. Any thread may read and swap it at any time.

    Args:
        model: to begin with, tried out already.
        registered_version: its number in the model registry, if it is from there.
        now_ms: the clock, in milliseconds since 1970.
    """

    def __init__(
        self,
        model: DescribedModel,
        registered_version: int | None = None,
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._now_ms = now_ms
        self.swap(model, registered_version)

    @property
    def now(self) -> SlottedModel:
        """What is served; read it once for all that is to be decided by the same model."""
        return self._now

    @property
    def model(self) -> ModelStamp:
        """Which model is served."""
        return self._now.stamp

    def swap(self, classifier: DescribedModel, registered_version: int | None = None) -> None:
        """Serve another model from now on; what is being decided is decided by the one before."""
        told = {
            "name": classifier.name,
            "version": classifier.version,
            "feature_fingerprint": classifier.feature_fingerprint,
            "taxonomy_version": classifier.taxonomy.version,
            "registered_version": registered_version,
        }
        stamp = ModelStamp(classifier.name, classifier.version, registered_version)
        self._now = SlottedModel(classifier, stamp, self._now_ms(), told)
