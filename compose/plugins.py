"""Docker Compose and Buildx: the plugins of this machine's docker command, or those in a container.

Some distributions ship the command without its plugins. The container speaks to the same engine through its
socket, and sees the folders that it is given under the same paths, so that either gives the same result.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from compose.engine import docker
from compose.recipes import Recipe, obtain
from compose.services import Progress
from schemas.errors import DependencyUnavailableError, SetupError

Plugin = Literal["compose", "buildx"]

TOOLS: Final = Recipe(name="docker", official="docker:28-cli")
_SOCKET: Final = "/var/run/docker.sock"


def has_plugin(plugin: Plugin) -> bool:
    """Tell whether the docker command of this machine has the plugin."""
    try:
        docker([plugin, "version"], timeout_seconds=10.0)
    except DependencyUnavailableError:
        return False
    return True


def plugin_arguments(
    arguments: Sequence[str],
    *,
    folders: Sequence[Path],
    variables: Mapping[str, str],
    cache_dir: Path,
    progress: Progress,
) -> list[str]:
    """Return arguments of `docker` that do the same as these, which begin with `compose` or `buildx`.

    `folders` are absolute, and hold every file that the arguments and variables name. Where there is no plugin
    this may pull or build the image that has them. Raises SetupError if the engine is not on this machine.
    """
    # Compose builds by Buildx.
    if has_plugin("compose") and has_plugin("buildx"):
        return list(arguments)
    image = obtain(TOOLS, cache_dir=cache_dir, progress=progress)
    container = ["run", "--rm", "--volume", f"{_socket()}:{_SOCKET}", "--workdir", str(folders[0])]
    for folder in folders:
        container += ["--volume", f"{folder}:{folder}:ro"]
    for name, value in variables.items():
        container += ["--env", f"{name}={value}"]
    return [*container, image, "docker", *arguments]


def _socket() -> str:
    host = os.environ.get("DOCKER_HOST") or f"unix://{_SOCKET}"
    scheme, _, path = host.partition("://")
    if scheme != "unix":
        raise SetupError(
            f"the docker command lacks Compose or Buildx, which {host} cannot lend it: install both plugins"
        )
    return path
