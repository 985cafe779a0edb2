"""A limit on how long a process may take to stop."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterator

log = logging.getLogger(__name__)


@contextlib.contextmanager
def deadline(seconds: float, *, exit_code: int) -> Iterator[None]:
    """Leave the process with `exit_code` if the block takes longer, whatever hangs, the event loop included.

    Nothing is cleaned up then: what was not acknowledged stays uncommitted, and the group notices by the session
    timeout.
    """

    def leave() -> None:
        log.error("deadline for stopping passed", extra={"exit_code": exit_code})
        logging.shutdown()
        os._exit(exit_code)

    timer = threading.Timer(seconds, leave)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
