"""A second process compiles its share only where that is of use, and is never needed."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field

import pytest

from streams.cold_start import Helper, compile_if_cold


@dataclass(slots=True)
class FakeHelper:
    """A process that ends with a code, or hangs until it is killed."""

    done: list[str]
    code: int = 0
    hangs: bool = False

    def wait(self, timeout: float | None = None) -> int:
        if self.hangs and timeout is not None:
            raise subprocess.TimeoutExpired("helper", timeout)
        self.done.append("waited")
        return self.code

    def kill(self) -> None:
        self.done.append("killed")


@dataclass(slots=True)
class Start:
    """What happened, in order."""

    done: list[str] = field(default_factory=list)
    code: int = 0
    hangs: bool = False
    fails: bool = False

    def helper(self) -> Helper:
        if self.fails:
            raise OSError(11, "no more processes")
        self.done.append("started")
        return FakeHelper(self.done, self.code, self.hangs)

    def run(self, *, is_warm: bool = False, n_cores: int = 2) -> list[str]:
        compile_if_cold(
            is_warm=lambda: is_warm,
            n_cores=n_cores,
            start=self.helper,
            compile_rest=lambda: self.done.append("compiled"),
        )
        return self.done


def test_with_a_filled_cache_nothing_is_done() -> None:
    assert Start().run(is_warm=True) == []


def test_the_other_process_compiles_at_the_same_time_and_is_waited_for() -> None:
    assert Start().run() == ["started", "compiled", "waited"]


def test_one_core_is_not_shared() -> None:
    assert Start().run(n_cores=1) == ["compiled"]


def test_without_a_second_process_the_start_goes_on() -> None:
    assert Start(fails=True).run() == ["compiled"]


def test_one_that_hangs_is_killed() -> None:
    assert Start(hangs=True).run() == ["started", "compiled", "killed", "waited"]


def test_one_that_fails_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    Start(code=1).run()
    assert "kernels are compiled by one process only" in caplog.messages
