"""Sees to it that compiled kernels can be kept somewhere, before the first module with a kernel is imported.

numba takes the first of these folders that it can write to: that of NUMBA_CACHE_DIR, the `__pycache__` beside the
code, the user's cache. One that it can only read it does not even read, however well filled; and where it can
write to none, importing a kernel fails.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

from schemas.errors import SetupError

VARIABLE: Final = "NUMBA_CACHE_DIR"


def settle_kernel_cache(environ: MutableMapping[str, str], *, beside_the_code: Path) -> str | None:
    """Point numba to a folder of this process if it can write to none of its own; return a sentence about it.

    Kernels in NUMBA_CACHE_DIR that can only be read (a read-only image) are copied, and serve as they are. None if
    there is nothing to do. Raises SetupError if there is no room for temporary files either.
    """
    named = environ.get(VARIABLE)
    if named:
        candidates = [Path(named)]
    else:
        caches = Path(environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or "/") / ".cache")
        candidates = [beside_the_code, caches / "numba"]
    if any(_is_writable(folder) for folder in candidates):
        return None
    try:
        own = tempfile.mkdtemp(prefix="sortline-kernels-")
        if named and Path(named).is_dir():
            shutil.copytree(named, own, dirs_exist_ok=True)
    except OSError as error:
        raise SetupError(
            f"no folder for compiled kernels can be written to ({error.strerror or error}): "
            f"set {VARIABLE} to one that can"
        ) from error
    atexit.register(shutil.rmtree, own, ignore_errors=True)
    environ[VARIABLE] = own
    if named:
        return f"{VARIABLE}={named} cannot be written to: its kernels are used from a copy, {own}"
    return (
        f"compiled kernels cannot be kept, and are compiled at every start: {beside_the_code} and {caches} "
        f"cannot be written to; set {VARIABLE} to a folder that can, and run `sortline warm-up` once"
    )


def _is_writable(folder: Path) -> bool:
    """Return whether files can be made there, or the folder could be made."""
    there = next((one for one in (folder, *folder.parents) if one.exists()), folder)
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)
