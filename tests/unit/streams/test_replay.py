from __future__ import annotations

from streams.replay import decide_again, redecisions
from tests.unit.streams.conftest import Workbench


def test_every_record_of_a_slice_has_one_outcome_of_its_own(workbench: Workbench) -> None:
    records = workbench.products(["Lamp", "unsure Desk", "vague Chair"])
    records.append(workbench.record(b"p-9", b"{}"))
    records.append(workbench.record(b"p-1", None))
    found = {one.output.record.offset: one for one in redecisions(workbench.processor.process(records))}
    assert [found[offset].destination for offset in range(5)] == [
        "categorized",
        "review",
        "categorized",
        "dead_letters",
        "categorized",
    ]
    assert [offset for offset, one in found.items() if one.is_tombstone] == [4]
    reason = found[3].reason
    assert reason is not None
    assert reason.startswith("value is not Confluent wire format")


def test_one_record_alone_is_decided_as_among_others(workbench: Workbench) -> None:
    records = workbench.products(["Lamp", "Desk", "unsure Chair"])
    together = {
        one.output.record.offset: one.output.value for one in redecisions(workbench.processor.process(records))
    }
    for record in records:
        assert decide_again(workbench.processor, record).output.value == together[record.offset]
