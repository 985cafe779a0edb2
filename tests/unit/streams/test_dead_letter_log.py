"""A flood of dead letters is a line now and then, with their sum."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from streams.dead_letter_log import EVERY_SECONDS, DeadLetterLog
from streams.dead_letters import STAGE_VALIDATE, DeadLetterOffice
from streams.records import Output

if TYPE_CHECKING:
    import pytest

    from tests.unit.streams.conftest import Workbench


def _letters(workbench: Workbench, n: int, reason: str = "title is blank") -> list[Output]:
    office = DeadLetterOffice(group_id="g")
    return [office.write(workbench.record(b"k", b"v"), stage=STAGE_VALIDATE, reason=reason) for _ in range(n)]


def test_the_first_is_told_at_once_and_the_others_in_sums(
    workbench: Workbench, caplog: pytest.LogCaptureFixture
) -> None:
    now = 100.0
    lines = DeadLetterLog(clock=lambda: now)
    caplog.set_level(logging.WARNING)
    lines.note(_letters(workbench, 2))
    for _ in range(5):
        lines.note(_letters(workbench, 3))
    now += EVERY_SECONDS
    lines.note([])
    assert [vars(one)["n_records"] for one in caplog.records] == [2]
    lines.note(_letters(workbench, 1, "the price is negative"))
    assert [vars(one)["n_records"] for one in caplog.records] == [2, 16]
    assert vars(caplog.records[-1])["reason"] == "the price is negative"
