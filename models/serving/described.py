"""A loaded model together with what its bundle tells of it."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from models.classifier import Classifier
from models.manifest import Manifest
from models.taxonomy import Taxonomy
from schemas.stages import StageClock


@dataclass(frozen=True, slots=True)
class DescribedModel:
    """Serves as the classifier does (it is a `served.Classifier`), and has the manifest for whoever asks."""

    classifier: Classifier
    manifest: Manifest

    @property
    def name(self) -> str:
        """What published events call the model."""
        return self.classifier.name

    @property
    def version(self) -> str:
        """Content digest of the bundle."""
        return self.classifier.version

    @property
    def feature_fingerprint(self) -> str:
        """The feature spec's."""
        return self.classifier.feature_fingerprint

    @property
    def taxonomy(self) -> Taxonomy:
        """The categories."""
        return self.classifier.taxonomy

    def classify(self, products: pa.RecordBatch, clock: StageClock | None = None) -> pa.RecordBatch:
        """Decide, see `models.classifier.Classifier.classify`."""
        return self.classifier.classify(products, clock)
