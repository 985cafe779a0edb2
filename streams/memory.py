"""Lets a worker's memory go back to the system."""

from __future__ import annotations

import ctypes
from typing import Final

import pyarrow as pa

#: Parameters of glibc's mallopt, from malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8

_MIB: Final = 1 << 20


def return_memory_early() -> bool:
    """Set the process's allocator to few arenas and to giving large blocks back; True if it could be set.

    By default glibc keeps an arena for each thread, and raises the size from which on a block is mapped by itself
    to that of the largest block that was ever freed. Fetched batches, columns and filled batches are blocks of
    some hundred KiB that come and go in three threads: the process keeps growing, by 400 MiB in a million events,
    with nothing leaked. Arrow's own pool keeps what it had as well, so Arrow is given this allocator, too.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl, macOS
        return False
    pa.set_memory_pool(pa.system_memory_pool())
    settings = ((_M_ARENA_MAX, 2), (_M_MMAP_THRESHOLD, _MIB), (_M_TRIM_THRESHOLD, 8 * _MIB))
    results = [mallopt(parameter, value) for parameter, value in settings]  # all of them, also if one is refused
    return all(result == 1 for result in results)


def give_back() -> None:
    """Return to the system what is free in the middle of the heap, too; some milliseconds, where glibc is used."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)
