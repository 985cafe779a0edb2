"""API keys: made once, kept as hashes in a file, looked up by id, and read again when the file changes.

A key is `sl_<id>_<secret>`. The id is public: the file, `sortline keys list` and the logs name a key by it, and a
request finds its one entry by it. The secret is 256 random bits, so the file holds a plain SHA-256: a slow, salted
hash protects what people choose and others can guess, and nobody guesses 256 bits however fast a try is. It would
only cost every request some 100 ms.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import secrets
import stat
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import SetupError

log = logging.getLogger(__name__)

_KEY: Final = re.compile(r"sl_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
_SECRET_BYTES: Final = 32
_ID_BYTES: Final = 6
#: How often the file is looked at: a revoked key works for at most so much longer.
LOOK_SECONDS: Final = 1.0


class ApiKey(BaseModel):
    """One key as the file holds it; the key itself is nowhere.

    Attributes:
        name: who it was made for.
        rate: products a second, where it differs from the server's own limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[0-9a-f]{12}$")
    name: str = Field(min_length=1, max_length=200)
    created: datetime
    rate: float | None = Field(default=None, gt=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", repr=False)


class KeyFile(BaseModel):
    """The file of keys: JSON, in the order in which they were made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[ApiKey, ...] = ()


def new_key(name: str, *, now: datetime, rate: float | None = None) -> tuple[str, ApiKey]:
    """Return a new key, to be shown once, and its entry for the file."""
    key_id = secrets.token_hex(_ID_BYTES)
    key = f"sl_{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    return key, ApiKey(id=key_id, name=name, created=now, rate=rate, sha256=_hash(key))


def read_key_file(path: Path) -> KeyFile:
    """Read a file of keys.

    Raises SetupError if it is missing or no file of keys, or if everybody on the machine may read it: whoever can
    read it may soon be able to write it, or has a copy to compare leaked keys with.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)  # of what is read, should the file be swapped now
            content = file.read()
    except OSError as error:
        raise SetupError(
            f"the file of API keys {path} cannot be read ({error.strerror}): "
            "`sortline keys create NAME --file FILE` makes one"
        ) from error
    if mode & 0o007:
        raise SetupError(f"everybody may open the file of API keys {path} (mode {mode:o}): chmod 600 {path}")
    try:
        return KeyFile.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        # Neither the input nor the context: both hold what stands in the file.
        raise SetupError(f"{path} is no file of API keys: {where}: {first['msg']}") from error


class ApiKeys:
    """The keys of a file, as it is now; for one thread.

    A file that is broken, unreadable or gone when it is looked at again leaves the keys as they were: a slip of
    an editor locks nobody out. It is logged as an error until it is mended.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the file. Raises SetupError as `read_key_file` does."""
        self._path = path
        self._clock = clock
        self._version = _version(path)
        self._keys = {key.id: key for key in read_key_file(path).keys}
        self._looked_at = clock()

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, presented: str) -> ApiKey | None:
        """Return the entry of a key, or None if it is no key of the file."""
        self._look()
        matched = _KEY.fullmatch(presented)
        found = self._keys.get(matched[1]) if matched else None
        if found is None or not hmac.compare_digest(_hash(presented), found.sha256):
            return None
        return found

    def _look(self) -> None:
        now = self._clock()
        if now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        version = _version(self._path)
        if version == self._version:
            return
        try:
            keys = read_key_file(self._path).keys
        except SetupError as error:
            log.error("API keys not read again, the keys before stay", extra={"reason": str(error)})  # noqa: TRY400
            return
        self._version = version
        self._keys = {key.id: key for key in keys}
        log.info("API keys read again", extra={"keys": len(keys)})


class _Version(NamedTuple):
    """What tells two contents of a file apart without reading them."""

    inode: int
    modified_ns: int
    changed_ns: int
    size: int


def _version(path: Path) -> _Version | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return _Version(found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
