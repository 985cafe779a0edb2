"""What a model was trained on, as MLflow's dataset input: name, digest, number of rows, and where it came from.

`CatalogueTopicSource` is registered with MLflow by the entry point `mlflow.dataset_source`, so wherever sortline
is installed `mlflow.data.get_source` gives it back from what a run says. MLflow imports this module for that: it
holds nothing heavy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from mlflow.data.dataset import Dataset
from mlflow.data.dataset_source import DatasetSource

from schemas.errors import SetupError
from training.lineage import Lineage, LineageJson

SOURCE_TYPE: Final = "sortline_catalogue_topic"

#: MLflow's column of digests is 36 characters wide; the source holds the whole one.
_DIGEST_LENGTH: Final = 32


class CatalogueTopicSource(DatasetSource):
    """A compacted Kafka topic as far as a snapshot read it.

    Attributes:
        lineage: topic, offsets of each partition, schema ids, and the digest of what was there.
    """

    def __init__(self, lineage: Lineage) -> None:
        self.lineage = lineage

    @staticmethod
    def _get_source_type() -> str:
        return SOURCE_TYPE

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        return isinstance(raw_source, Lineage)

    @classmethod
    def _resolve(cls, raw_source: Any) -> CatalogueTopicSource:
        return cls(cast("Lineage", raw_source))

    def to_dict(self) -> dict[str, Any]:
        """Return the lineage as a bundle's manifest has it."""
        return dict(self.lineage.to_json())

    @classmethod
    def from_dict(cls, source_dict: dict[Any, Any]) -> CatalogueTopicSource:
        """Read what `to_dict` gave."""
        return cls(Lineage.from_json(cast("LineageJson", source_dict)))

    def load(
        self, *, bootstrap: str | None = None, registry_url: str | None = None, to: Path | None = None
    ) -> Path:
        """Read the topic again into the snapshot file `to`, if it still holds the same rows.

        All three have to be given: a run does not tell where Kafka is. Offsets of a compacted topic give other
        rows once products have changed: SetupError says so.
        """
        if bootstrap is None or registry_url is None or to is None:
            raise SetupError("Say where Kafka and the registry are: load(bootstrap=…, registry_url=…, to=…).")
        from contextlib import closing

        from schemas.registry import ConfluentRegistry
        from training.progress import SilentProgress
        from training.snapshot import take_snapshot, write_snapshot

        with closing(ConfluentRegistry(registry_url)) as registry:
            snapshot = take_snapshot(
                bootstrap=bootstrap,
                registry=registry,
                topic=self.lineage.topic,
                to=None,
                progress=SilentProgress(),
            )
        if snapshot.lineage.content_digest != self.lineage.content_digest:
            raise SetupError(
                f"The topic {self.lineage.topic} holds other products by now than this dataset had: read the "
                "snapshot that `sortline train` kept beside the bundle."
            )
        write_snapshot(snapshot, to)
        return to


class TrainingRows(Dataset):
    """The products of a training run: what they were is told, the products themselves are not held."""

    def __init__(self, source: DatasetSource, *, name: str, digest: str, n_rows: int) -> None:
        self._n_rows = n_rows
        super().__init__(source, name=name, digest=digest[:_DIGEST_LENGTH])

    def _compute_digest(self) -> str:
        return "unknown"  # only asked for where the lineage has an empty one

    @property
    def profile(self) -> dict[str, int]:
        """Number of products."""
        return {"num_rows": self._n_rows}

    @property
    def schema(self) -> None:
        """None: the columns are those of `schemas.columns.LABELLED_PRODUCT`, in every run."""
        return

    def to_dict(self) -> dict[str, str]:
        """Return what MLflow stores."""
        return {**super().to_dict(), "profile": json.dumps(self.profile)}


def dataset_of(lineage: Mapping[str, object]) -> TrainingRows | None:
    """Return the dataset of a manifest's lineage; None if that tells neither a topic nor a file."""
    digest, rows = str(lineage.get("content_digest", "")), lineage.get("rows")
    n_rows = rows if isinstance(rows, int) else 0
    read = Lineage.found_in(lineage)
    if read is not None:
        return TrainingRows(CatalogueTopicSource(read), name=read.topic, digest=digest, n_rows=n_rows)
    file = lineage.get("file")
    if not isinstance(file, str):
        return None
    from mlflow.data.dataset_source_registry import get_dataset_source_from_json

    # A bundle's manifest names the file, not the folders of the machine it was on.
    source = get_dataset_source_from_json(json.dumps({"uri": file}), source_type="local")
    return TrainingRows(source, name=file, digest=digest, n_rows=n_rows)
