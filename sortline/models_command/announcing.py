"""Tells workers at once that there is another champion; those that are not told see it with their next look."""

from __future__ import annotations

import getpass
import socket
from contextlib import closing
from typing import TYPE_CHECKING, Final

from schemas.errors import SortlineError

if TYPE_CHECKING:
    from sortline.settings import SortlineSettings

_SECONDS: Final = 5.0


def tell_workers(settings: SortlineSettings, name: str, version: int) -> None:
    """Announce the champion where the settings say; print a warning if that is impossible."""
    from sortline.console import warn

    problem = announce_champion(
        name,
        version,
        bootstrap=settings.bootstrap,
        registry_url=settings.registry_url,
        topic=settings.topics.announced,
    )
    if problem is not None:
        warn(problem)


def announce_champion(name: str, version: int, *, bootstrap: str, registry_url: str, topic: str) -> str | None:
    """Announce the champion, and return None; or a sentence that says why not, and what that means."""
    from models.registry import CHAMPION
    from schemas.registry import ConfluentRegistry
    from streams.announcements import Announcement, announce

    announcement = Announcement(name=name, version=version, alias=CHAMPION, announced_by=_whoever())
    try:
        with closing(ConfluentRegistry(registry_url)) as registry:
            announce(announcement, bootstrap=bootstrap, registry=registry, topic=topic, timeout_seconds=_SECONDS)
    except SortlineError as error:
        return f"workers are not told at once ({error}); each finds the champion with its next look at MLflow"
    return None


def _whoever() -> str:
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):  # a container's user without a name
        return socket.gethostname()
