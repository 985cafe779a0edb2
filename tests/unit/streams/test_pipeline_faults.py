"""Scoring and delivering when something is refused, away, broken, or no longer ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest
from aiokafka.errors import InvalidTimestampError, MessageSizeTooLargeError

from schemas.errors import DependencyUnavailableError, StreamHaltedError
from streams import metrics
from streams.records import Record
from streams.slices import SliceOutputs
from tests.unit.streams.pipeline_rig import TOPICS, Rig

if TYPE_CHECKING:
    from tests.unit.streams.conftest import Workbench


async def test_a_slice_that_was_taken_away_while_it_waited_is_given_back_unsent(
    rig: Rig, workbench: Workbench
) -> None:
    rig.held = False
    await rig.run(rig.slice([workbench.product("a", "lamp")]), then=lambda: bool(rig.abandoned))
    assert rig.journal == ["begin [0]", "end [0]"]
    assert rig.sent == {}


async def test_a_delivery_that_fails_is_spoiled_and_not_acknowledged(rig: Rig, workbench: Workbench) -> None:
    rig.refused[TOPICS.dead_letters] = lambda _: MessageSizeTooLargeError()
    with pytest.raises(StreamHaltedError):
        await rig.run(rig.slice([workbench.record(b"a", b"broken")]))
    assert rig.journal[-1] == "spoil [0]"


async def test_an_output_that_the_broker_refuses_becomes_a_dead_letter(rig: Rig, workbench: Workbench) -> None:
    rig.refused[TOPICS.categorized] = lambda one: MessageSizeTooLargeError() if one.key == b"p-1" else None
    records = workbench.products(["lamp", "huge lamp", "desk"])
    await rig.run(rig.slice(records))
    assert [one.key for one in rig.sent[TOPICS.categorized]] == [b"p-0", b"p-2"]
    (letter,) = rig.sent[TOPICS.dead_letters]
    assert (letter.key, letter.value) == (b"p-1", records[1].value)
    assert b"does not take the output" in (dict(letter.headers)["__connect.errors.exception.message"] or b"")
    assert rig.counters.value(metrics.CATEGORIZED) == 2
    assert rig.counters.value(metrics.DEAD_LETTERS) == 1
    assert rig.journal[-2:] == ["ack 0/2", "end [0]"]


async def test_a_dead_letter_whose_time_is_refused_is_sent_with_the_present_time(
    rig: Rig, workbench: Workbench
) -> None:
    now = 1_700_000_000_000
    rig.refused[TOPICS.dead_letters] = lambda one: None if one.timestamp_ms == now else InvalidTimestampError()
    await rig.run(rig.slice([workbench.record(b"a", b"broken")]))
    (letter,) = rig.sent[TOPICS.dead_letters]
    assert (letter.value, letter.timestamp_ms) == (b"broken", now)


async def test_a_dead_letter_that_cannot_be_written_halts_the_stream_unacknowledged(
    rig: Rig, workbench: Workbench
) -> None:
    rig.refused[TOPICS.dead_letters] = lambda _: MessageSizeTooLargeError()
    with pytest.raises(StreamHaltedError, match=r"products\.created/0/0 .*raise max\.message\.bytes"):
        await rig.run(rig.slice([workbench.record(b"a", b"broken")]))
    assert not any("ack" in one for one in rig.journal)


async def test_too_many_dead_letters_in_a_row_halt_the_stream_before_the_last_slice_is_written(
    rig: Rig, workbench: Workbench
) -> None:
    rig.most_in_a_row = 5
    first = rig.slice(workbench.products(["lamp"] * 150))
    good = rig.slice([workbench.product("a", "lamp")])
    bad = rig.slice([workbench.record(b"x", b"broken") for _ in range(200)])
    with pytest.raises(
        StreamHaltedError, match=r"6 records in a row .* 5 are allowed; the last was products\.created/0/156: "
    ):
        await rig.run(first, good, bad, then=lambda: False)
    assert TOPICS.dead_letters not in rig.sent
    assert [one for one in rig.journal if "ack" in one] == ["ack 0/149"]


async def test_a_dependency_that_comes_back_is_waited_for_and_nothing_is_lost(
    rig: Rig, workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.pipeline._FIRST_WAIT_SECONDS", 0.001)
    failures = iter([DependencyUnavailableError("away"), DependencyUnavailableError("away")])
    real = rig.processor

    class Flaky:
        dead_letter_office = real.dead_letter_office

        def process(self, records: Sequence[Record]) -> SliceOutputs:
            for failure in failures:
                raise failure
            outputs: SliceOutputs = real.process(records)
            return outputs

    rig.processor = Flaky()
    await rig.run(rig.slice(workbench.products(["lamp", "desk"])))
    assert len(rig.sent[TOPICS.categorized]) == 2
    assert rig.counters.value(metrics.RETRIES) == 2


async def test_a_slice_that_waits_for_a_dependency_is_given_back_when_its_partition_goes_away(
    rig: Rig, workbench: Workbench
) -> None:
    class Away:
        dead_letter_office = rig.processor.dead_letter_office

        def process(self, records: Sequence[Record]) -> SliceOutputs:
            rig.current = False
            raise DependencyUnavailableError("away")

    rig.processor = Away()
    one = rig.slice(workbench.products(["lamp"]))
    await rig.run(one, then=lambda: bool(rig.abandoned))
    assert rig.abandoned == [one.message]
    assert not any("ack" in entry for entry in rig.journal)


async def test_slices_of_a_partition_that_went_away_are_given_back_unprocessed(
    rig: Rig, workbench: Workbench
) -> None:
    rig.current = False
    slices = [rig.slice(workbench.products(["lamp"])) for _ in range(3)]
    await rig.run(*slices, then=lambda: len(rig.abandoned) == 3)
    assert rig.processed == []
    assert rig.journal == []


async def test_an_unexpected_exception_comes_out_as_it_is(rig: Rig, workbench: Workbench) -> None:
    class Broken:
        dead_letter_office = rig.processor.dead_letter_office

        def process(self, records: Sequence[Record]) -> SliceOutputs:
            raise KeyError("bug")

    rig.processor = Broken()
    with pytest.raises(KeyError, match="bug"):
        await rig.run(rig.slice(workbench.products(["lamp"])), then=lambda: False)
    assert not any("ack" in one for one in rig.journal)


async def test_a_swap_record_that_the_topic_refuses_halts_the_stream_before_any_output(
    rig: Rig, workbench: Workbench
) -> None:
    rig.refused[TOPICS.swaps] = lambda _: MessageSizeTooLargeError()
    with pytest.raises(StreamHaltedError, match="topic model-swaps does not take"):
        await rig.run(rig.slice([workbench.product("a", "lamp")]))
    assert rig.sent == {}
    assert rig.journal[-1] == "spoil [0]"
