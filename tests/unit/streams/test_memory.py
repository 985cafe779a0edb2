"""The allocator's settings, and what of a process's code need not stay; each in a process of its own."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from streams.memory import unchanged_code

PROGRAM = """
import pyarrow as pa
from streams.memory import give_back, return_memory_early
assert return_memory_early()
assert pa.default_memory_pool().backend_name == "system"
assert return_memory_early()
give_back()
"""


MAPPED = """
import asyncio.selector_events as sockets
import ctypes
from streams.memory import return_memory_early

class Info(ctypes.Structure):
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    _fields_ = [(name, ctypes.c_size_t) for name in names]

look = ctypes.CDLL(None).mallinfo2
look.restype = Info
return_memory_early()

def n_mapped(n_bytes: int) -> int:
    before = look().hblks
    blocks = [bytes(n_bytes) for _ in range(100)]  # more than what is free already holds
    return look().hblks - before

for _ in range(2):  # also after blocks of that size were freed
    assert n_mapped(600_000) > 50
assert n_mapped(sockets._SelectorSocketTransport.max_size) == 0
"""

CODE = """
import os
import pyarrow as pa
import pyarrow.compute as pc
from streams.memory import let_go_of_code

def resident_kib() -> int:
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssFile:"))

before = resident_kib()
n_bytes = let_go_of_code()
assert n_bytes > 4 << 20, n_bytes
assert before - resident_kib() > 4 << 10
assert pc.sum(pa.array([1, 2, 3])).as_py() == 6
assert let_go_of_code() < n_bytes
"""

SMAPS = """\
55d000000000-55d000001000 r-xp 00001000 fe:00 11                         /usr/bin/python3.11
Rss:                   4 kB
Anonymous:             0 kB
7f0000000000-7f0000004000 r-xp 00001000 fe:00 12                         /lib/of mine/libLLVM.so.20.1
Size:                 16 kB
Rss:                  12 kB
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd ex mr mw me
7f0000004000-7f0000006000 r--p 00005000 fe:00 12                         /lib/of mine/libLLVM.so.20.1
Rss:                   8 kB
Anonymous:             4 kB
Swap:                  0 kB
7f0000006000-7f0000007000 rw-p 00007000 fe:00 12                         /lib/of mine/libLLVM.so.20.1
Rss:                   4 kB
Anonymous:             0 kB
7f0000007000-7f0000008000 r--p 00008000 fe:00 13                         /lib/_arrow.cpython-311.so
Rss:                   4 kB
Anonymous:             0 kB
Swap:                  4 kB
7f0000008000-7f0000009000 r--p 00008000 fe:00 13                         /lib/never_read.so
Rss:                   0 kB
Anonymous:             0 kB
7f0000009000-7f000000a000 r-xp 00000000 00:01 14                         /memfd:closures.so (deleted)
Rss:                   4 kB
Anonymous:             0 kB
7f000000a000-7f000000b000 r--s 00000000 fe:00 15                         /dev/shared.so
Rss:                   4 kB
Anonymous:             0 kB
7f000000b000-7f000000c000 r-xp 00000000 00:00 0
Rss:                   4 kB
Anonymous:             4 kB
"""

is_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")


def run(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


@is_glibc
def test_the_allocator_takes_the_settings_as_often_as_it_is_told() -> None:
    run(PROGRAM)


@is_glibc
def test_large_blocks_are_mapped_by_themselves_and_what_a_socket_reads_is_not() -> None:
    run(MAPPED)


@pytest.mark.skipif(sys.platform != "linux", reason="mappings are told by Linux")
def test_a_process_lets_go_of_code_and_works_on() -> None:
    run(CODE)


def test_only_what_is_as_the_file_has_it_is_let_go() -> None:
    assert list(unchanged_code(SMAPS)) == [(0x7F0000000000, 0x7F0000004000, 12 << 10)]


def test_a_process_without_mappings_lets_nothing_go() -> None:
    assert list(unchanged_code("")) == []
