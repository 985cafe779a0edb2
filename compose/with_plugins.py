"""Runs `docker` with the plugins Compose and Buildx where this machine's docker command has none.

In the repository's folder, `python -m compose.with_plugins` stands for `docker`:

    python -m compose.with_plugins compose -f deploy/compose.yaml ps
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from compose.plugins import plugin_arguments
from compose.stack import default_cache_dir
from schemas.errors import SortlineError


def main() -> int:
    """Run `docker` with this process's arguments, which name files of the working directory only."""
    here = Path.cwd()
    try:
        arguments = plugin_arguments(
            sys.argv[1:],
            folders=[here],
            variables={name: value for name, value in os.environ.items() if name.startswith("SORTLINE_")},
            cache_dir=default_cache_dir(),
            progress=lambda line: print(line, file=sys.stderr),  # noqa: T201
        )
    except SortlineError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    return subprocess.run(["docker", *arguments], check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
