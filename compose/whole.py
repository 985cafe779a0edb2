"""Prepares the whole stack of deploy/compose.yaml: `make images`, which is `python -m compose.whole`.

Obtains every image, builds sortline's own, and writes deploy/.env: the names of the images, and passwords that are
made once for this machine.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from compose.images import KAFKA, REGISTRY, java_runtime
from compose.pip_settings import certificates, pip_conf
from compose.plugins import plugin_arguments
from compose.recipes import Recipe, obtain
from compose.s3proxy import S3PROXY_VERSION, fetch_s3proxy
from compose.services import Progress
from compose.stack import default_cache_dir
from schemas.errors import DependencyUnavailableError, SortlineError

ROOT: Final = Path(__file__).parent.parent
COMPOSE_FILE: Final = ROOT / "deploy" / "compose.yaml"
ENV_FILE: Final = ROOT / "deploy" / ".env"
#: What compose.yaml builds, in the order of their layers.
BUILT: Final = ("mlflow", "training", "worker", "gateway")


def _s3(cache_dir: Path, progress: Progress) -> Mapping[str, Path]:
    return {"s3proxy.jar": fetch_s3proxy(cache_dir, progress), "java-runtime": java_runtime()}


#: By the variable of compose.yaml that names the image.
RECIPES: Final[Mapping[str, Recipe]] = {
    "SORTLINE_BASE": Recipe(name="base", official="python:3.13.12-slim-trixie"),
    "SORTLINE_KAFKA_IMAGE": KAFKA,
    "SORTLINE_REGISTRY_IMAGE": REGISTRY,
    "SORTLINE_POSTGRES_IMAGE": Recipe(name="postgres", official="postgres:17-trixie"),
    "SORTLINE_S3_IMAGE": Recipe(name="s3", official=f"andrewgaul/s3proxy:{S3PROXY_VERSION}", additions=_s3),
}
SECRETS: Final = ("SORTLINE_POSTGRES_PASSWORD", "SORTLINE_S3_KEY", "SORTLINE_S3_SECRET")


def prepare(progress: Progress, *, cache_dir: Path, env_file: Path = ENV_FILE) -> None:
    """Obtain and build all images, and write their names and new passwords to the file; blocks some minutes.

    What the file says already, it keeps: passwords that are in use, and images that somebody chose. Raises
    SetupError or DependencyUnavailableError if an image cannot be had or built.
    """
    known = read_env(env_file)
    images = {
        name: obtain(recipe, cache_dir=cache_dir, progress=progress, wanted=_chosen(known.get(name)))
        for name, recipe in RECIPES.items()
    }
    made = {name: known.get(name) or secrets.token_hex(16) for name in SECRETS}
    variables = {**known, **images, **made}
    write_env(env_file, variables)
    build(variables, cache_dir=cache_dir, progress=progress)


def build(variables: Mapping[str, str], *, cache_dir: Path, progress: Progress) -> None:
    """Build the images of compose.yaml. Raises DependencyUnavailableError with what the builder said last."""
    with _build_secrets() as (folder, files):
        variables = {**variables, **files, "SORTLINE_REVISION": _revision()}
        # One after the other: they share their layers, and a builder that is told of all at once makes some twice.
        for target in BUILT:
            progress(f"building sortline/{target}")
            arguments = plugin_arguments(
                ["compose", "--progress", "plain", "--file", str(COMPOSE_FILE), "build", target],
                folders=[ROOT, folder],
                variables=variables,
                cache_dir=cache_dir,
                progress=progress,
            )
            _run(arguments, variables)


def read_env(file: Path) -> dict[str, str]:
    """Return the variables of an .env file as this module writes it; none if there is no file."""
    if not file.exists():
        return {}
    lines = file.read_text(encoding="utf-8").splitlines()
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, value in pairs}


def write_env(file: Path, variables: Mapping[str, str]) -> None:
    """Write the variables so that only this user can read them, whole or not at all."""
    lines = [
        "# Written by `make images`, which keeps what it finds here. Holds passwords: not for the repository."
    ]
    lines += [f"{name}={value}" for name, value in variables.items()]
    with tempfile.NamedTemporaryFile(
        "w", dir=file.parent, prefix=".env-", delete=False, encoding="utf-8"
    ) as draft:
        draft.write("\n".join(lines) + "\n")
    Path(draft.name).replace(file)  # made with mode 0600


def _chosen(image: str | None) -> str | None:
    """Return an image that a person named; one of ours is found again, or built anew if its recipe changed."""
    return None if image is None or image.startswith("sortline/") else image


@contextmanager
def _build_secrets() -> Iterator[tuple[Path, dict[str, str]]]:
    with tempfile.TemporaryDirectory(prefix="sortline-build-") as name:
        folder = Path(name)
        files = {"SORTLINE_BUILD_PIP": folder / "pip.conf", "SORTLINE_BUILD_CA": folder / "ca.pem"}
        files["SORTLINE_BUILD_PIP"].write_text(pip_conf(), encoding="utf-8")
        files["SORTLINE_BUILD_CA"].write_bytes(certificates(os.environ))
        yield folder, {variable: str(file) for variable, file in files.items()}


def _revision() -> str:
    asked = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or "unknown"


def _run(arguments: list[str], variables: Mapping[str, str]) -> None:
    done = subprocess.run(
        ["docker", *arguments],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = [line for line in done.stdout.splitlines() if line.strip()][-12:]
        raise DependencyUnavailableError("an image could not be built: " + "\n".join(said))


def main() -> int:
    """Prepare the whole stack; print each step."""
    try:
        prepare(lambda line: print(line, flush=True), cache_dir=default_cache_dir())  # noqa: T201
    except SortlineError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    print(f"images are ready, {ENV_FILE.relative_to(ROOT)} is written; go on as docs/deployment.md says")  # noqa: T201
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
