"""The allocator's settings, in a process of their own."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import pyarrow as pa
from streams.memory import give_back, return_memory_early
assert return_memory_early()
assert pa.default_memory_pool().backend_name == "system"
assert return_memory_early()
give_back()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_the_allocator_takes_the_settings_as_often_as_it_is_told() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
