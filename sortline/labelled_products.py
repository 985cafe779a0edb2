"""Labelled products for a command that takes them from a file or from the catalogue topic."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.errors import SetupError

if TYPE_CHECKING:
    import pyarrow as pa

    from sortline.progress import StepProgress
    from sortline.settings import SortlineSettings


def check_source(from_file: Path | None, *, from_topic: bool) -> None:
    """Raise SetupError unless exactly one of the two is given."""
    if (from_file is None) != from_topic:
        raise SetupError("give exactly one of --from FILE and --from-topic")


def read_labelled(
    from_file: Path | None, settings: SortlineSettings, progress: StepProgress, *, keep_as: Path | None = None
) -> tuple[pa.Table, Mapping[str, object]]:
    """Return the products of the file, of the topic if None, and where they came from.

    What is read of the topic is kept as the snapshot file `keep_as`, if one is named; what of it was left out is
    warned of. Raises InputFileError for the file, and as `take_snapshot` does.
    """
    if from_file is not None:
        from schemas.product_files import read_products

        progress.step(f"Reading {from_file.name}")
        return read_products(from_file, labelled=True), {"file": from_file.name}

    from contextlib import closing

    from schemas.registry import ConfluentRegistry
    from sortline.console import warn
    from training.snapshot import take_snapshot

    topic = settings.topics.catalog
    with closing(ConfluentRegistry(settings.registry_url)) as registry:
        snapshot = take_snapshot(
            bootstrap=settings.bootstrap, registry=registry, topic=topic, to=keep_as, progress=progress
        )
    for reason, n in snapshot.rejected.items():
        warn(f"{n:,} products of {topic} were left out: {reason}")
    return snapshot.products, {**snapshot.lineage.to_json()}
