"""Which version is the champion, which were before it, and who may change that.

The alias says who the champion is. A tag of the registered model keeps the versions that were promoted, oldest
first: a promotion is a push, a rollback a pop. The alias has the last word: what the tag holds above the alias's
version is of a promotion that did not come to its end, and a champion that the tag does not know was set by hand.

MLflow cannot change a tag or an alias only if it is still as it was read. It can create a registered model only if
there is none of that name, whoever else tries: such a model is the lock (docs/decisions/0017).
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from models.registry import CHAMPION, RegisteredVersion, registered_version
from schemas.errors import DependencyUnavailableError, SetupError

HISTORY: Final = "sortline.champions"
LOCK_SUFFIX: Final = ".promotion-lock"
_TOKEN: Final = "sortline.lock.token"
_HOLDER: Final = "sortline.lock.holder"
_UNTIL: Final = "sortline.lock.until"

#: A promotion holds the lock for a handful of requests; one that has held it this long was killed.
LOCK_SECONDS: Final = 120.0

#: The tag stays far below MLflow's limit of 5,000 characters.
_KEPT: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Champion and predecessors of a registered model.

    Attributes:
        champion: number of the version that the alias means, or None.
        former: those before it that still exist, oldest first; one that was champion twice is in it twice.
    """

    champion: int | None
    former: tuple[int, ...]


def list_versions(client: Any, name: str) -> list[RegisteredVersion]:
    """Return all versions of the registered model, newest first, with their aliases.

    Raises SetupError if there is no such model.
    """
    aliases: dict[int, list[str]] = {}
    for alias, number in _model(client, name).aliases.items():
        aliases.setdefault(int(number), []).append(alias)
    quote = '"' if "'" in name else "'"
    rows = []
    token = None
    while True:
        page = client.search_model_versions(f"name = {quote}{name}{quote}", page_token=token)
        for row in page:
            row.aliases = sorted(aliases.get(int(row.version), []))
            rows.append(registered_version(row))
        token = page.token
        if not token:
            return sorted(rows, key=lambda one: -one.number)


def read_standing(client: Any, name: str) -> Standing:
    """Return who is and who was champion. SetupError if there is no such registered model."""
    model = _model(client, name)
    alias = model.aliases.get(CHAMPION)
    champion = None if alias is None else int(alias)
    kept = _kept(model.tags.get(HISTORY, "[]"))
    living = {one.number for one in list_versions(client, name)} if kept else set()
    return Standing(champion=champion, former=tuple(one for one in _below(kept, champion) if one in living))


def move_champion(client: Any, name: str, version: int, *, former: Sequence[int]) -> None:
    """Let the alias mean this version, after those that were before it.

    The tag is written first, with the version on top: if the alias is not moved then, `read_standing` takes the
    top for what it is. Call it with the lock.
    """
    history = [*former, version][-_KEPT:]
    client.set_registered_model_tag(name, HISTORY, json.dumps(history))
    client.set_registered_model_alias(name, CHAMPION, str(version))


@contextlib.contextmanager
def promotion_lock(client: Any, name: str, *, now: Callable[[], float] = time.time) -> Iterator[None]:
    """Keep others from moving the champion of this model meanwhile.

    Raises DependencyUnavailableError, which names the holder, if somebody else has the lock. One that was held for
    more than LOCK_SECONDS is taken away from its holder.
    """
    lock, token = f"{name}{LOCK_SUFFIX}", uuid.uuid4().hex
    if not _created(client, lock, token, now()):
        _take_away(client, lock, name, token, now())
        if not _created(client, lock, token, now()):
            raise DependencyUnavailableError(f"Somebody else is promoting {name} at this moment: try again.")
    try:
        yield
    finally:
        held = _found(client, lock)
        if held is not None and held.tags.get(_TOKEN) == token:
            client.delete_registered_model(lock)


def _model(client: Any, name: str) -> Any:
    model = _found(client, name)
    if model is None:
        raise SetupError(
            f"MLflow has no registered model {name}: `sortline train` registers one; --name gives another name."
        )
    return model


def _below(kept: Sequence[int], champion: int | None) -> Sequence[int]:
    """Return the versions below the champion's last place in the history; all of them if it has none."""
    if champion is None or champion not in kept:
        return kept
    return kept[: len(kept) - 1 - list(reversed(kept)).index(champion)]


def _kept(text: str) -> list[int]:
    try:
        kept = json.loads(text)
        return [int(one) for one in kept]
    except (ValueError, TypeError) as error:
        raise SetupError(
            f"The tag {HISTORY} of the registered model is {text!r}, not a list of versions: set it to [] in "
            "MLflow; rollbacks to before that moment are lost."
        ) from error


def _created(client: Any, lock: str, token: str, now: float) -> bool:
    from mlflow.exceptions import MlflowException

    tags = {
        _TOKEN: token,
        _HOLDER: f"{_user()} on {socket.gethostname()}, process {os.getpid()}",
        _UNTIL: str(now + LOCK_SECONDS),
    }
    try:
        client.create_registered_model(lock, tags=tags, description="Exists while the champion is changed.")
    except MlflowException as error:
        if error.error_code == "RESOURCE_ALREADY_EXISTS":
            return False
        raise
    return True


def _found(client: Any, name: str) -> Any | None:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def _take_away(client: Any, lock: str, name: str, token: str, now: float) -> None:
    """Remove a lock whose time is over, under a name of our own, so that of several only one gets it."""
    from mlflow.exceptions import MlflowException

    held = _found(client, lock)
    if held is None:
        return
    until = float(held.tags.get(_UNTIL, "0"))
    if now <= until:
        raise DependencyUnavailableError(
            f"{held.tags.get(_HOLDER)} is changing the champion of {name} at this moment: try again; if that "
            f"process was killed, in {until - now:.0f} s."
        )
    with contextlib.suppress(MlflowException):  # somebody else was faster
        client.rename_registered_model(lock, f"{lock}.{token}")
        client.delete_registered_model(f"{lock}.{token}")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without an entry
        return f"user {os.getuid()}"
