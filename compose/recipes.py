"""How an image is had: here already, pulled, or built by a recipe that speaks the same contract."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from compose.engine import docker
from compose.services import Progress
from compose.turns import one_at_a_time
from schemas.errors import DependencyUnavailableError, SetupError

FOLDER: Final = Path(__file__).parent / "images"
_PULL_SECONDS: Final = 600.0

#: Returns what lies beside the Dockerfile in its build, by name; fetches it if need be into the cache folder.
Additions = Callable[[Path, Progress], Mapping[str, Path]]


def _nothing(cache_dir: Path, progress: Progress) -> Mapping[str, Path]:
    del cache_dir, progress
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A folder of compose/images, and the official image in whose place it stands.

    `pins` are files that say which versions the additions have.
    """

    name: str
    official: str
    additions: Additions = _nothing
    pins: tuple[Path, ...] = ()

    @property
    def local(self) -> str:
        """The name of what is built here: never the official one, and a new one if the recipe changes."""
        digest = hashlib.sha256((FOLDER / "build.sh").read_bytes())
        files = sorted(file for file in (FOLDER / self.name).rglob("*") if file.is_file())
        for file in (*self.pins, *files):
            digest.update(file.read_bytes())
        return f"sortline/{self.name}:{self.official.rpartition(':')[2]}-{digest.hexdigest()[:8]}"


def obtain(recipe: Recipe, *, cache_dir: Path, progress: Progress, wanted: str | None = None) -> str:
    """Return an image that is on this machine now: the wanted one, or a local one in place of the official.

    In this order: present, built here earlier, pulled, built now (by one process; others wait). `wanted` is the
    official one by default. Raises SetupError if a named image is neither here nor to be had, or if this machine
    cannot build.
    """
    wanted = wanted or recipe.official
    if is_present(wanted):
        return wanted
    if wanted == recipe.official and is_present(recipe.local):
        return recipe.local
    try:
        progress(f"pulling {wanted}")
        docker(["pull", "--quiet", wanted], timeout_seconds=_PULL_SECONDS)
    except DependencyUnavailableError as error:
        if wanted != recipe.official:
            raise SetupError(f"image {wanted} is not on this machine and cannot be pulled: {error}") from error
        progress(f"{wanted} cannot be pulled: building {recipe.local} here")
        _build(recipe, cache_dir, progress)
        return recipe.local
    return wanted


def is_present(image: str) -> bool:
    """Tell whether the engine has the image."""
    try:
        docker(["image", "inspect", "--format", "{{.Id}}", image])
    except DependencyUnavailableError:
        return False
    return True


def _build(recipe: Recipe, cache_dir: Path, progress: Progress) -> None:
    if shutil.which("debootstrap") is None or os.geteuid() != 0:
        raise SetupError(
            f"{recipe.official} cannot be pulled, and building an image in its place needs root and debootstrap "
            "(on Debian: apt-get install debootstrap): name one that you have, with an option such as "
            "--kafka-image or in deploy/.env; Kafka and the registry also run without images: use --engine jvm"
        )
    additions = recipe.additions(cache_dir, progress)
    with one_at_a_time(cache_dir):
        if not is_present(recipe.local):  # another process may have built it while this one waited
            _run_recipe(recipe, additions, progress)


def _run_recipe(recipe: Recipe, additions: Mapping[str, Path], progress: Progress) -> None:
    command = ["bash", str(FOLDER / "build.sh"), recipe.local, recipe.name]
    command += [f"{name}={path}" for name, path in additions.items()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as building:
        assert building.stdout is not None
        said = ""
        for line in building.stdout:
            said = line.strip() or said
            progress(f"building: {said}")
    if building.returncode != 0:
        raise DependencyUnavailableError(f"{recipe.local} could not be built: {said}")
