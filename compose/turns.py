"""Taking turns: what several processes of a machine need at once is made by one of them."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Hold the lock of this folder, which is made if it is not there; blocks while another process holds it.

    The system takes the lock from a process that ends, however it ends: a killed one leaves nothing to clean up.
    Look inside whether the work is still to be done. Not reentrant.
    """
    folder.mkdir(parents=True, exist_ok=True)
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)
