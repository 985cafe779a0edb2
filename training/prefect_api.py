"""Where flows report to: the Prefect server that PREFECT_API_URL names, else an API inside this process.

The latter has its database in a temporary folder and ends with the process, killed or not; nothing of it stays.
Prefect reads its settings when it is first imported, so all of them stand in the environment before.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from schemas.errors import DependencyUnavailableError, SetupError

API_URL: Final = "PREFECT_API_URL"

#: Of our commands only; a server and its workers are set up by whoever runs them.
_QUIET: Final[Mapping[str, str]] = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}

#: Our own lines tell how far a run has come, and its failure is told in one sentence.
_QUIET_RUN: Final[Mapping[str, str]] = {
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
}

#: A new database runs a hundred migrations: nine seconds of CPU.
_START_SECONDS: Final = 180.0


@contextlib.contextmanager
def reporting(*, debug: bool = False) -> Iterator[str]:
    """Let flows of this process report to the configured server or to one of our own; gives its address.

    Raises SetupError if Prefect is not installed, DependencyUnavailableError if the API does not start.
    """
    with tempfile.TemporaryDirectory(prefix="sortline-prefect-") as folder, _environment(folder, debug=debug):
        if url := os.environ.get(API_URL):
            require_prefect()
            yield url
            return
        with _own_api(Path(folder)) as url:
            yield url


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Give the address of the configured server, for what needs one. Raises SetupError if none is configured."""
    url = os.environ.get(API_URL)
    if not url:
        raise SetupError(
            f"{API_URL} names no Prefect server (--api-url), and schedules live in one: `prefect server start` "
            "runs one."
        )
    with tempfile.TemporaryDirectory(prefix="sortline-prefect-") as folder, _environment(folder, debug=True):
        require_prefect()
        yield url


def require_prefect() -> None:
    """Raise SetupError if Prefect is not installed."""
    try:
        import prefect  # noqa: F401
    except ImportError as error:
        raise SetupError("Prefect is not installed: pip install 'sortline[pipeline]'.") from error


@contextlib.contextmanager
def _environment(home: str, *, debug: bool) -> Iterator[None]:
    """Set what is not set; PREFECT_HOME, too, so that nothing is written to the user's own folder."""
    wanted = {"PREFECT_HOME": home, **_QUIET, **({} if debug else _QUIET_RUN)}
    added = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextlib.contextmanager
def _own_api(folder: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
        os.environ[API_URL] = url
        os.environ["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = f"sqlite+aiosqlite:///{folder / 'prefect.db'}"
        try:
            require_prefect()
            import uvicorn
            from prefect.server.api.server import create_app

            api = uvicorn.Server(uvicorn.Config(create_app(ephemeral=True), log_level=logging.CRITICAL))
            thread = threading.Thread(target=api.run, kwargs={"sockets": [listener]}, daemon=True)
            thread.start()
            deadline = time.monotonic() + _START_SECONDS
            while not api.started:
                if not thread.is_alive() or time.monotonic() > deadline:
                    raise DependencyUnavailableError(
                        "Prefect's API does not start in this process: name a server in PREFECT_API_URL instead."
                    )
                thread.join(0.05)
            try:
                yield url
            finally:
                api.should_exit = True
                thread.join(10)
        finally:
            del os.environ[API_URL], os.environ["PREFECT_SERVER_DATABASE_CONNECTION_URL"]
