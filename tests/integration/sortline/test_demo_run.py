from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest
from confluent_kafka.admin import AdminClient

pytestmark = pytest.mark.integration


class Printed(Protocol):
    @property
    def stdout(self) -> str: ...


def test_the_demo_accounts_for_every_event_and_leaves_nothing_behind(
    run: Callable[..., Printed], bootstrap: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    told = run("demo", "--use-running", "--events", 500, "--rows", 6_000).stdout

    counts = {
        name: int(number.replace(",", ""))
        for name, number in re.findall(
            r"^ *(events in|categorized|review|dead letters|tombstones) +([\d,]+)", told, re.M
        )
    }
    assert counts["events in"] == 507
    assert counts["dead letters"] == 6
    assert counts["tombstones"] == 1
    assert sum(counts.values()) == 2 * counts["events in"]
    assert counts["categorized"] > counts["review"]
    assert "every event accounted for" in told
    right = re.search(r"published +([\d.]+)% right", told)
    assert right is not None
    assert float(right[1]) > 80
    for reason in (
        "title is blank",
        "price_minor is -1999",
        "not Confluent wire format",
        "not known to the registry",
    ):
        assert reason in told
    assert "(exit code 0)" in told
    assert "\x1b" not in told
    assert [line for line in told.splitlines() if len(line) > 100] == []

    assert _topics_of_demos(bootstrap, prefix) == []
    assert not [*tmp_path.glob("sortline-demo-*")]


@pytest.mark.parametrize(
    ("number", "at"),
    [(signal.SIGINT, "labelled products are in"), (signal.SIGTERM, "A worker (process ")],
    ids=["Ctrl-C before the training", "SIGTERM while the worker runs"],
)
def test_an_interrupted_demo_ends_what_it_started(
    run: Callable[..., Printed], bootstrap: str, prefix: str, tmp_path: Path, number: signal.Signals, at: str
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "sortline", "demo", "--use-running", "--events", "200", "--rows", "2000"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
        # Whoever runs the tests in the background may have them ignore Ctrl-C, and a child inherits that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    killer = threading.Timer(200, process.kill)
    killer.start()
    told = []
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            told.append(line)
            if at in line:
                process.send_signal(number)
    exit_code = process.wait()
    killer.cancel()
    assert exit_code == 130, "".join(told)
    worker = re.search(r"A worker \(process (\d+)\)", "".join(told))
    assert (worker is not None) == at.startswith("A worker")
    if worker is not None:
        with pytest.raises(ProcessLookupError):
            os.kill(int(worker[1]), 0)
    assert _topics_of_demos(bootstrap, prefix) == []
    assert not [*tmp_path.glob("sortline-demo-*")]


def _topics_of_demos(bootstrap: str, prefix: str) -> list[str]:
    topics = AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=10).topics
    return [topic for topic in topics if topic.startswith(f"{prefix}demo-")]
