"""The folder of a bundle: its files read byte for byte as the manifest names them, and replaced as one."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import glob
import hashlib
import json
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from models.manifest import MANIFEST, FileEntry
from schemas.errors import BundleError, SetupError

REMEDY: Final = "fetch the bundle again or train anew"


def read_files(folder: Path, entries: Mapping[str, FileEntry], names: Sequence[str]) -> dict[str, bytes]:
    """Return the content of the named files, each the very bytes of its manifest entry.

    Raises BundleError if the entries or the folder have a file too many or too few, or a digest differs.
    """
    if odd := sorted(set(entries) ^ set(names)):
        raise BundleError(f"{MANIFEST} lists {odd[0]!r} where a bundle has {', '.join(names)}: {REMEDY}.")
    if extra := sorted(entry.name for entry in folder.iterdir() if entry.name not in (*names, MANIFEST)):
        raise BundleError(f"{extra[0]} does not belong to a bundle: remove it, or {REMEDY}.")
    contents = {name: read_file(folder / name) for name in names}
    for name, content in contents.items():
        if len(content) != entries[name].bytes or hashlib.sha256(content).hexdigest() != entries[name].sha256:
            raise BundleError(f"{name} is not the file that {MANIFEST} describes (its digest differs): {REMEDY}.")
    return contents


def read_file(path: Path) -> bytes:
    """Read a regular file; a link could point anywhere, and to something else a moment later."""
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        raise BundleError(f"{path.name} is missing: {REMEDY}, or give the folder that holds it.") from error
    if not stat.S_ISREG(mode):
        raise BundleError(f"{path.name} is a link or folder, not a file: put the file itself there.")
    return path.read_bytes()


def check_target(to: Path, names: Sequence[str]) -> None:
    """Raise SetupError if `to` is anything but absent, an empty folder, or a bundle of whatever format version."""
    if to.exists() and not _may_replace(to, names):
        raise SetupError(f"{to} exists and is not a model bundle: give another folder, or remove it yourself.")


def replace_folder(to: Path, contents: Mapping[str, bytes], *, check: Callable[[Path], object]) -> None:
    """Write the files beside `to`, let `check` look at them, and move them into place; all of it or nothing.

    A bundle at `to` is exchanged for the new one in one step, so that there always is one, whole, whenever the
    process is killed. Where the system cannot (other than Linux, some network file systems) there is nothing at
    `to` for the moment between two renames; what was there is put back if the second fails. A draft that a killed
    process left beside `to` is removed.
    """
    target = to.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(target)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}.draft")
    draft.mkdir()
    lock = _locked(draft)
    try:
        for name, content in contents.items():
            with (draft / name).open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        check(draft)
        _move_into_place(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _may_replace(target: Path, names: Sequence[str]) -> bool:
    if not target.is_dir():
        return False
    found = {entry.name for entry in target.iterdir()}
    if not found:
        return True
    if MANIFEST not in found or not found <= {*names, MANIFEST}:
        return False
    try:
        document = json.loads((target / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and "format_version" in document


def _move_into_place(draft: Path, target: Path) -> None:
    if not target.exists():
        draft.rename(target)
        return
    if _exchange(draft, target):
        return  # what was there has the draft's name now, and goes as a draft does
    former = target.with_name(f".{target.name}.{secrets.token_hex(4)}.former")
    target.rename(former)
    try:
        draft.rename(target)
    except BaseException:
        former.rename(target)
        raise
    shutil.rmtree(former)


_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2


def _exchange(first: Path, second: Path) -> bool:
    """Let two folders have each other's name, in one step; return whether that could be done."""
    try:
        renameat2 = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError):
        return False
    failed: int = renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE)
    return not failed


def _remove_abandoned(target: Path) -> None:
    for draft in target.parent.glob(f".{glob.escape(target.name)}.*.draft"):
        lock = _locked(draft)
        if lock is not None:  # its writer is gone
            shutil.rmtree(draft, ignore_errors=True)
            os.close(lock)


def _locked(folder: Path) -> int | None:
    """Lock a folder while the descriptor returned is open; None if somebody else has, or it cannot be locked."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        return descriptor
    return None
