"""Changes to a file of API keys: atomic, one at a time, and for its owner's eyes only."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from gateway.api_keys import ApiKey, KeyFile, new_key, read_key_file
from schemas.errors import SetupError


def create_key(path: Path, name: str, *, now: datetime, rate: float | None = None) -> tuple[str, ApiKey]:
    """Add a key to the file, which is made if it is missing; return the key, which is not kept, and its entry.

    Raises SetupError as `read_key_file` does, or if the folder cannot be written to.
    """
    with _alone(path):
        keys = read_key_file(path).keys if path.exists() else ()
        key, entry = new_key(name, now=now, rate=rate)
        _write(path, KeyFile(keys=(*keys, entry)))
    return key, entry


def revoke_key(path: Path, key_id: str) -> ApiKey:
    """Remove a key by its id and return its entry. Raises SetupError if the file has no such key, or as above."""
    with _alone(path):
        keys = read_key_file(path).keys
        found = next((key for key in keys if key.id == key_id), None)
        if found is None:
            raise SetupError(f"{path} has no key with the id {key_id}: `sortline keys list` shows what there is")
        _write(path, KeyFile(keys=tuple(key for key in keys if key is not found)))
    return found


def _write(path: Path, content: KeyFile) -> None:
    with tempfile.NamedTemporaryFile(  # it is made with mode 600
        "w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8"
    ) as draft:
        try:
            draft.write(content.model_dump_json(indent=2) + "\n")
            draft.flush()
            os.fsync(draft.fileno())
            Path(draft.name).replace(path)
        except BaseException:
            Path(draft.name).unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the folder's lock: the file itself is replaced, so a lock on it would hold off nobody."""
    try:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)
    except OSError as error:
        raise SetupError(f"the file of API keys {path} cannot be written ({error.strerror})") from error
