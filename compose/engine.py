"""The `docker` command: the one way in which this package speaks to a container engine."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from os import environ
from typing import Final

from schemas.errors import DependencyUnavailableError, SetupError

_PROBE_SECONDS: Final = 3.0


def engine_answers() -> bool:
    """Tell whether a Docker engine answers within 3 seconds; DOCKER_HOST and the current context count."""
    if shutil.which("docker") is None:
        return False
    try:
        # The exit code alone would do for new clients; old ones exit 0 without an engine and leave the version
        # empty.
        asked = subprocess.run(
            ["docker", "info", "--format", "{{.ServerVersion}}"],
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0 and bool(asked.stdout.strip())


def docker(
    arguments: Sequence[str], *, timeout_seconds: float = 60.0, environment: Mapping[str, str] | None = None
) -> str:
    """Run `docker` with the arguments and return what it prints.

    Raises DependencyUnavailableError with docker's own words if it fails or takes longer, SetupError if the
    command is not installed.
    """
    try:
        done = subprocess.run(
            ["docker", *arguments],
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            env={**environ, **(environment or {})},
            check=False,
        )
    except FileNotFoundError as error:
        raise SetupError("there is no `docker` command on the PATH: install Docker's command line") from error
    except subprocess.TimeoutExpired as error:
        raise DependencyUnavailableError(
            f"docker {arguments[0]} did not end within {timeout_seconds:.0f} seconds"
        ) from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        raise DependencyUnavailableError(f"docker {arguments[0]} failed: {said[-1]}")
    return done.stdout


def last_words(container: str, lines: int = 3) -> str:
    """Return the last lines of a container's log on one line, for an error message."""
    # A container's stderr is docker's stderr.
    logged = subprocess.run(
        ["docker", "logs", "--tail", str(lines), container],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=20,
        check=False,
    )
    return " | ".join(line.strip() for line in logged.stdout.splitlines() if line.strip()) or "it printed nothing"
