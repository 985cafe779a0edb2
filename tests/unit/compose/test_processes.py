from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from compose.processes import DetachedProcess

SLEEPER = [sys.executable, "-c", "import time; print('awake', flush=True); time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); "
    "time.sleep(600)",
]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[DetachedProcess]:
    process = DetachedProcess("sleeper", tmp_path / "state")
    yield process
    process.kill()


def wait_for_word(process: DetachedProcess, word: str) -> None:
    while word not in process.last_words():
        assert process.is_running


def test_a_later_command_finds_the_process_and_ends_it(process: DetachedProcess, tmp_path: Path) -> None:
    process.start(SLEEPER, cwd=tmp_path)
    found = DetachedProcess("sleeper", tmp_path / "state")
    assert found.pid == process.pid
    assert found.is_running
    found.stop()
    assert not process.is_running
    assert process.pid is None


def test_a_stranger_with_the_same_pid_is_left_alone(process: DetachedProcess, tmp_path: Path) -> None:
    process.start(SLEEPER, cwd=tmp_path)
    pid = process.pid
    assert pid is not None
    identity = tmp_path / "state" / "sleeper.json"
    original = identity.read_text(encoding="utf-8")
    identity.write_text(json.dumps({"pid": pid, "started": "some other time"}), encoding="utf-8")
    assert not process.is_running
    process.stop()
    os.kill(pid, 0)  # it is still there
    identity.write_text(original, encoding="utf-8")
    assert process.is_running


def test_a_process_that_does_not_heed_sigterm_is_killed(process: DetachedProcess, tmp_path: Path) -> None:
    process.start(STUBBORN, cwd=tmp_path)
    wait_for_word(process, "deaf")
    process.stop(grace_seconds=0.1)
    assert not process.is_running


def test_a_paused_process_runs_and_can_be_stopped(process: DetachedProcess, tmp_path: Path) -> None:
    process.start(SLEEPER, cwd=tmp_path)
    process.pause()
    assert process.is_running
    process.stop()
    assert not process.is_running


def test_it_is_out_of_reach_of_the_terminals_interrupt(process: DetachedProcess, tmp_path: Path) -> None:
    process.start(SLEEPER, cwd=tmp_path)
    assert process.pid is not None
    assert os.getsid(process.pid) != os.getsid(0)
    assert os.getpgid(process.pid) != os.getpgid(0)


def test_its_last_words_are_kept_for_an_error_message(process: DetachedProcess, tmp_path: Path) -> None:
    assert process.last_words() == "it printed nothing"
    process.start(["/bin/sh", "-c", "echo one; echo; echo two >&2; echo three; sleep 600"], cwd=tmp_path)
    wait_for_word(process, "three")
    assert process.last_words(2) == "two | three"
