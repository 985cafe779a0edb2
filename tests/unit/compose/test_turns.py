from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

from compose.turns import one_at_a_time

HOLD = """
import sys
from pathlib import Path
from compose.turns import one_at_a_time

with one_at_a_time(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_second_begins_when_the_first_is_done(tmp_path: Path) -> None:
    folder, done, came = tmp_path / "cache", [], Event()

    def second() -> None:
        came.set()
        with one_at_a_time(folder):
            done.append("second")

    with ThreadPoolExecutor(1) as pool:
        with one_at_a_time(folder):
            waiting = pool.submit(second)
            came.wait()
            done.append("first")
        waiting.result()
    assert done == ["first", "second"]


def test_a_killed_process_holds_nothing_up(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.kill()
    with one_at_a_time(tmp_path):
        pass
