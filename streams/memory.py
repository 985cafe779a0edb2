"""Lets a worker's memory go back to the system."""

from __future__ import annotations

import ctypes
import mmap
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa

#: Parameters of glibc's mallopt, from malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8

_KIB: Final = 1 << 10

#: First line of a mapping in /proc/self/smaps: a private, read-only part of a shared object.
_LIBRARY: Final = re.compile(r"(?P<start>[0-9a-f]+)-(?P<end>[0-9a-f]+) r-[x-]p \S+ \S+ \S+ +/.*\.so[.0-9]*")
_SIZE: Final = re.compile(r"^(\w+): +(\d+) kB$", re.MULTILINE)


def return_memory_early() -> bool:
    """Set the process's allocator to few arenas and to giving large blocks back; True if it could be set.

    By default glibc keeps an arena for each thread, and raises the size from which on a block is mapped by itself
    to that of the largest block that was ever freed. Fetched batches, columns and filled batches are blocks of
    some hundred KiB that come and go in three threads: the process keeps growing, by 400 MiB in a million events,
    with nothing leaked. Arrow's own pool keeps what it had as well, so Arrow is given this allocator, too.

    The size decides: blocks in an arena leave holes that the next ones do not quite fit, and blocks that are
    mapped cost a page fault for every 4 KiB. From 1 MiB on, the arena of the threads grew for millions of events;
    from 272 KiB on, the worker was a tenth slower; docs/performance.md has the figures.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl, macOS
        return False
    pa.set_memory_pool(pa.system_memory_pool())
    settings = ((_M_ARENA_MAX, 2), (_M_MMAP_THRESHOLD, 512 * _KIB), (_M_TRIM_THRESHOLD, 8192 * _KIB))
    results = [mallopt(parameter, value) for parameter, value in settings]  # all of them, also if one is refused
    return all(result == 1 for result in results)


def give_back() -> None:
    """Return to the system what is free in the middle of the heap, too; some milliseconds, where glibc is used."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)


def let_go_of_code() -> int:
    """Let go of the pages of libraries' code that are resident, and return how many bytes that were; 0 off Linux.

    Compilers and clients that only the start needs leave 100 MiB of code behind, most of it LLVM's. What is still
    needed comes back from the page cache when it is used next, without a copy and within microseconds a page. Call
    it once everything is compiled. Only pages that are as the file has them are let go.
    """
    madvise = getattr(ctypes.CDLL(None), "madvise", None)
    maps = Path("/proc/self/smaps")
    if madvise is None or not maps.exists():
        return 0
    n_bytes = 0
    for start, end, resident in unchanged_code(maps.read_text(encoding="utf-8", errors="replace")):
        if madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_DONTNEED) == 0:
            n_bytes += resident
    return n_bytes


def unchanged_code(smaps: str) -> Iterator[tuple[int, int, int]]:
    """Yield start, end and resident bytes of the mappings in a smaps file that hold nothing but a library's pages.

    These are private mappings of shared objects that cannot be written to, and of which no page was written before
    that: the loader writes to some and takes the right away afterwards.
    """
    for mapping in re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", smaps):
        head, _, facts = mapping.partition("\n")
        found = _LIBRARY.fullmatch(head)
        kib = {name: int(size) for name, size in _SIZE.findall(facts)}
        if found and kib.get("Anonymous", 1) == kib.get("Swap", 0) == 0 and kib.get("Rss", 0):
            yield int(found["start"], 16), int(found["end"], 16), kib["Rss"] << 10
