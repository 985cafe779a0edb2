"""S3Proxy as one Java archive, fetched once by Maven and kept in the cache folder."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from compose.services import Progress
from schemas.errors import DependencyUnavailableError, SetupError

S3PROXY_VERSION: Final = "4.1.0"
_TIMEOUT_SECONDS: Final = 600


def fetch_s3proxy(cache_dir: Path, progress: Progress) -> Path:
    """Return the archive, downloading 55 MB with Maven if it is not in the cache yet.

    Raises SetupError without Maven, DependencyUnavailableError if Maven cannot download.
    """
    name = f"s3proxy-{S3PROXY_VERSION}-jar-with-dependencies.jar"
    archive = cache_dir / name
    if archive.exists():
        return archive
    maven = shutil.which("mvn")
    if maven is None:
        raise SetupError("S3Proxy comes from Maven, and there is no `mvn` on the PATH: install Maven")
    progress("fetching S3Proxy with Maven (55 MB, once)")
    cache_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fetching-", dir=cache_dir) as folder:
        done = subprocess.run(
            [
                *(maven, "-B", "-ntp", "dependency:copy", f"-DoutputDirectory={folder}"),
                f"-Dartifact=org.gaul:s3proxy:{S3PROXY_VERSION}:jar:jar-with-dependencies",
            ],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            errors = [line for line in done.stdout.splitlines() if line.startswith("[ERROR]")]
            raise DependencyUnavailableError(f"Maven could not fetch S3Proxy: {(errors or ['no message'])[0]}")
        # A rename, so that a command that was interrupted never leaves half an archive.
        Path(folder, name).rename(archive)
    return archive
