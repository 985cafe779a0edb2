"""Kafka and the registry as Java archives, fetched once by Maven and kept in the cache folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from compose.java import find_java
from compose.services import Progress
from compose.turns import one_at_a_time
from schemas.errors import DependencyUnavailableError, SetupError

POM: Final = Path(__file__).parent / "jars" / "pom.xml"
_TIMEOUT_SECONDS: Final = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifacts:
    """Folders with what the JVM engine runs and the images are built from."""

    kafka: Path
    registry: Path

    @property
    def are_complete(self) -> bool:
        """Whether both have been fetched."""
        return self.kafka.is_dir() and (self.registry / "quarkus-run.jar").is_file()


def locate_artifacts(cache_dir: Path) -> Artifacts:
    """Return where the artifacts of this version of the project are, or will be once fetched."""
    # Named by what the pom asks for: another Kafka version is another folder, never a mixture.
    folder = cache_dir / f"jars-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"
    return Artifacts(kafka=folder / "kafka", registry=folder / "registry")


def fetch_artifacts(cache_dir: Path, progress: Progress) -> Artifacts:
    """Return the artifacts, downloading about 210 MB with Maven if they are not in the cache yet.

    One process downloads, others wait for it.

    Raises SetupError without Maven or Java, DependencyUnavailableError if Maven cannot download.
    """
    artifacts = locate_artifacts(cache_dir)
    if artifacts.are_complete:
        return artifacts
    maven = shutil.which("mvn")
    if maven is None:
        raise SetupError(
            "Kafka and the registry come from Maven, and there is no `mvn` on the PATH: install Maven"
        )
    progress("fetching Kafka and the registry with Maven (about 210 MB, once)")
    with one_at_a_time(cache_dir):
        if not artifacts.are_complete:  # another process may have fetched them while this one waited
            _fetch(maven, cache_dir, artifacts)
    return artifacts


def _fetch(maven: str, cache_dir: Path, artifacts: Artifacts) -> None:
    with tempfile.TemporaryDirectory(prefix="fetching-", dir=cache_dir) as folder:
        _run_maven(maven, Path(folder))
        complete = artifacts.kafka.parent
        shutil.rmtree(complete, ignore_errors=True)  # it lacks something
        # A rename, so that a command that was interrupted never leaves half a set of jars.
        Path(folder, "jars").rename(complete)


def _run_maven(maven: str, folder: Path) -> None:
    # The pom is copied because Maven writes beside it, and an installed package may be read-only.
    shutil.copy(POM, folder / "pom.xml")
    command = [maven, "-B", "-ntp", "-f", str(folder / "pom.xml"), "generate-resources"]
    # Maven itself needs a Java; any will do, so the one that runs the stack is given where there is no other.
    environment = dict(os.environ)
    if not environment.get("JAVA_HOME") and shutil.which("java") is None:
        environment["JAVA_HOME"] = str(find_java().parent.parent)
    for last_try in (False, True):
        try:
            done = subprocess.run(
                [*command, f"-Dsortline.to={folder / 'jars'}"],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=_TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise DependencyUnavailableError(f"Maven did not end within {_TIMEOUT_SECONDS} seconds") from error
        if done.returncode == 0:
            return
        if last_try:
            errors = [line for line in done.stdout.splitlines() if line.startswith("[ERROR]")]
            raise DependencyUnavailableError(f"Maven could not fetch the jars: {(errors or ['no message'])[0]}")
