"""Who is told when a retraining moves the champion."""

from __future__ import annotations

import pytest

from compose.sockets import free_ports
from sortline.retrain import promoter
from sortline.settings import read_settings
from training import promotion
from training.progress import SilentProgress
from training.promotion import Outcome, Promotion


@pytest.mark.parametrize(
    ("outcome", "is_told"), [("promoted", True), ("refused", False), ("already champion", False)]
)
def test_workers_are_told_of_a_version_that_passed_the_gate_and_of_no_other(
    outcome: Outcome, is_told: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = Promotion(
        name="sortline",
        version=4,
        content_version="c" * 12,
        champion=3,
        outcome=outcome,
        checks=(),
        change=None,
        reason=None,
    )
    monkeypatch.setattr(promotion, "promote", lambda *_, **__: verdict)
    kafka, registry = free_ports(2)  # nobody is there to be told, and that is said
    settings = read_settings(bootstrap=f"127.0.0.1:{kafka}", registry_url=f"http://127.0.0.1:{registry}")
    assert promoter(settings, SilentProgress())("sortline", 4) is verdict
    assert ("workers are not told at once" in capsys.readouterr().err) is is_told
