"""Scoring and delivering: what is decided together, in which order it goes out, what is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from streams import metrics
from streams.records import Record
from streams.slices import SliceOutputs
from tests.unit.streams.conftest import TitleClassifier
from tests.unit.streams.pipeline_rig import TOPICS, Rig

if TYPE_CHECKING:
    from tests.unit.streams.conftest import Workbench


async def test_a_slice_is_acknowledged_only_after_every_output_was_sent(rig: Rig, workbench: Workbench) -> None:
    records = [
        workbench.product("a", "lamp"),
        workbench.product("b", "unsure lamp"),
        workbench.record(b"c", b"broken"),
    ]
    await rig.run(rig.slice(records))
    assert rig.journal[0] == "begin [0]"
    assert rig.journal[1] == "sent 1 to model-swaps"
    assert sorted(rig.journal[2:5]) == [
        "sent 1 to products.categorized",
        "sent 1 to products.created.dlq",
        "sent 1 to products.review",
    ]
    assert rig.journal[5:] == ["ack 0/2", "end [0]"]


async def test_a_slice_is_told_as_taken_before_the_work_on_it_begins(rig: Rig, workbench: Workbench) -> None:
    slices = [rig.slice([workbench.product(f"p{nth}", "lamp")]) for nth in range(3)]
    await rig.run(*slices, then=lambda: sum(rig.processed) == 3)
    assert len(rig.taken_at) == 3
    assert rig.taken_at[0] == 0


async def test_the_slices_of_one_fetch_are_decided_together_though_they_come_one_by_one(
    rig: Rig, workbench: Workbench
) -> None:
    rig.fetched = 4
    arriving = [rig.slice([workbench.product(f"p{nth}", "lamp", partition=nth)]) for nth in range(4)]
    await rig.run(*arriving, pause=True)
    assert rig.processed == [4]


async def test_a_slice_of_the_fetch_that_never_comes_does_not_hold_up_the_others(
    rig: Rig, workbench: Workbench
) -> None:
    rig.fetched = 4
    await rig.run(*(rig.slice([workbench.product(f"p{nth}", "lamp")]) for nth in range(3)))
    assert sum(rig.processed) == 3


async def test_slices_that_wait_are_decided_together_and_acknowledged_in_order(
    rig: Rig, workbench: Workbench
) -> None:
    slices = [rig.slice([workbench.product(f"p{number}", "lamp", partition=number % 3)]) for number in range(9)]
    await rig.run(*slices)
    assert len(rig.processed) < len(slices)
    assert sum(rig.processed) == 9
    assert [one for one in rig.journal if "ack" in one] == [f"ack {n % 3}/{n}" for n in range(9)]
    assert [one.key for one in rig.sent[TOPICS.categorized]] == [f"p{n}".encode() for n in range(9)]


async def test_a_group_is_bounded_by_its_number_of_records(rig: Rig, workbench: Workbench) -> None:
    slices = [rig.slice(workbench.products(["lamp"] * 60)) for _ in range(5)]
    await rig.run(*slices)
    assert max(rig.processed) <= 120
    assert sum(rig.processed) == 300


async def test_everything_is_counted_once(rig: Rig, workbench: Workbench) -> None:
    records = [
        workbench.product("a", "lamp"),
        workbench.product("b", "vague lamp"),
        workbench.product("c", "unsure lamp"),
        workbench.record(b"d", None),
        workbench.record(b"e", b"broken"),
    ]
    await rig.run(rig.slice(records))
    value = rig.counters.value
    assert value(metrics.RECORDS) == 5
    assert value(metrics.CATEGORIZED) == 2
    assert value(metrics.BACKED_OFF) == 1
    assert value(metrics.REVIEW) == 1
    assert value(metrics.TOMBSTONES) == 1
    assert value(metrics.DEAD_LETTERS) == 1
    assert value(metrics.SLICES) == 1


async def test_the_next_group_is_scored_while_the_one_before_is_being_sent(rig: Rig, workbench: Workbench) -> None:
    rig.sending = asyncio.Event()
    slices = [rig.slice(workbench.products(["lamp"] * 150)) for _ in range(2)]

    def is_over() -> bool:
        if len(rig.processed) == 2 and rig.sending is not None:
            rig.sending.set()
        return sum("ack" in one for one in rig.journal) == 2

    await rig.run(*slices, then=is_over)
    assert rig.processed == [150, 150]


async def test_which_model_classifies_is_told_once_a_partition_before_its_outputs(
    rig: Rig, workbench: Workbench
) -> None:
    slices = [rig.slice([workbench.product(f"p{nth}", "lamp", partition=nth % 2)]) for nth in range(6)]
    await rig.run(*slices)
    assert sorted(one.key or b"" for one in rig.sent[TOPICS.swaps]) == [
        b"products.created/0",
        b"products.created/1",
    ]
    assert next(one for one in rig.journal if "sent" in one).endswith(TOPICS.swaps)


async def test_a_swap_is_told_with_the_first_group_that_the_new_model_classified(
    rig: Rig, workbench: Workbench
) -> None:
    """The new model comes while the second of three groups is scored, so it is the third's."""

    class SwapsTheSecondTime:
        def __getattr__(self, name: str) -> Any:
            return getattr(workbench.processor, name)

        def process(self, records: Sequence[Record]) -> SliceOutputs:
            outputs = workbench.processor.process(records)
            if len(rig.processed) == 2:
                workbench.processor.swap(TitleClassifier(version="v2"), 2)
            return outputs

    rig.processor = SwapsTheSecondTime()
    slices = [rig.slice([workbench.product(f"p{nth}-{row}", "lamp") for row in range(100)]) for nth in range(3)]
    await rig.run(*slices)
    assert [one.record.offset for one in rig.sent[TOPICS.swaps]] == [0, 200]
    versions = [workbench.published(one.value)["model_version"] for one in rig.sent[TOPICS.categorized]]
    assert versions == ["v1"] * 200 + ["v2"] * 100
