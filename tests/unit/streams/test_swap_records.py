"""When it is told which model classifies a partition, and what."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pytest

from models.serving.served import ModelStamp
from schemas import columns
from schemas.avro_files import load_schema
from schemas.decoding import Decoder
from schemas.encoding import Encoder
from schemas.registry import InMemoryRegistry
from streams.records import Output, Record
from streams.swap_records import SwapRecords, worker_name
from streams.warm_up import MadeUpRecord

TOPIC = "products.created"
FIRST, SECOND = ModelStamp("text", "aaa", 1), ModelStamp("text", "bbb", 2)
NOW_MS = 1_767_225_600_123


@dataclass
class Message:
    topic: str
    partition: int
    generation_id: int


@dataclass
class Slice:
    value: Sequence[Record]
    message: Message


def slice_at(offset: int, partition: int = 0, *, generation: int = 1, n: int = 3) -> Slice:
    records = [
        MadeUpRecord(topic=TOPIC, partition=partition, offset=offset + nth, key=b"k", value=b"v")
        for nth in range(n)
    ]
    return Slice(records, Message(TOPIC, partition, generation))


@dataclass
class Teller:
    """Swap records, and what they say."""

    swaps: SwapRecords
    registry: InMemoryRegistry

    def told(self, *slices: Slice, model: ModelStamp) -> list[tuple[object, ...]]:
        """Partition, first offset, version and the version before of the records that are due."""
        rows = [self.row(one) for one in self.swaps.due(slices, model)]
        names = ("partition", "first_offset", "model_version", "previous_model_version")
        return [tuple(row[name] for name in names) for row in rows]

    def row(self, output: Output) -> dict[str, object]:
        decoder = Decoder(self.registry, load_schema("model_swap"), columns.MODEL_SWAP)
        row: dict[str, object] = decoder.decode([output.value or b""]).batch.to_pylist()[0]
        return row


@pytest.fixture
def teller() -> Teller:
    registry = InMemoryRegistry()
    schema = load_schema("model_swap")
    encoder = Encoder(schema, registry.register("model-swaps-value", schema))
    return Teller(SwapRecords(encoder=encoder, group_id="sorters", worker="w-1", now_ms=lambda: NOW_MS), registry)


def test_the_first_slice_after_the_assignment_tells_the_model_and_none_before_it(teller: Teller) -> None:
    assert teller.told(slice_at(40), slice_at(7, partition=1), model=FIRST) == [
        (0, 40, "aaa", None),
        (1, 7, "aaa", None),
    ]


def test_as_long_as_the_model_is_the_same_nothing_more_is_told(teller: Teller) -> None:
    teller.told(slice_at(0), model=FIRST)
    assert teller.told(slice_at(3), slice_at(6), model=FIRST) == []


def test_another_model_is_told_with_the_first_offset_that_it_classified_in_each_partition(teller: Teller) -> None:
    teller.told(slice_at(0), slice_at(10, partition=1), model=FIRST)
    assert teller.told(slice_at(3), slice_at(6), model=SECOND) == [(0, 3, "bbb", "aaa")]
    assert teller.told(slice_at(9), slice_at(13, partition=1), model=SECOND) == [(1, 13, "bbb", "aaa")]
    assert teller.told(slice_at(12), model=FIRST) == [(0, 12, "aaa", "bbb")]


def test_the_same_content_under_another_number_is_another_model(teller: Teller) -> None:
    teller.told(slice_at(0), model=FIRST)
    assert teller.told(slice_at(3), model=FIRST._replace(registered_version=4)) == [(0, 3, "aaa", "aaa")]


def test_after_a_rebalance_all_is_told_anew_because_others_may_have_had_the_partition(teller: Teller) -> None:
    teller.told(slice_at(0), model=FIRST)
    assert teller.told(slice_at(300, generation=2), model=FIRST) == [(0, 300, "aaa", None)]
    # It may also come back further ahead: what was not committed is read again.
    assert teller.told(slice_at(200, generation=3), model=SECOND) == [(0, 200, "bbb", None)]


def test_a_slice_without_records_tells_nothing_and_leaves_it_to_the_next(teller: Teller) -> None:
    assert teller.told(slice_at(5, n=0), slice_at(5), model=FIRST) == [(0, 5, "aaa", None)]


def test_a_record_goes_where_the_outputs_of_its_partition_go_and_says_who_when_and_what(teller: Teller) -> None:
    teller.told(slice_at(0, partition=2), model=FIRST)
    (output,) = teller.swaps.due([slice_at(3, partition=2)], SECOND)
    assert (output.record.topic, output.record.partition) == (TOPIC, 2)
    assert output.key == b"products.created/2"
    assert output.timestamp_ms == NOW_MS
    headers = dict(output.headers)
    assert headers["ce_source"] == b"/sortline/sorters/models"
    assert headers["ce_id"] == b"products.created/2/3/bbb"
    row = teller.row(output)
    swapped_at = row.pop("swapped_at")
    assert isinstance(swapped_at, datetime)
    assert swapped_at.isoformat(timespec="milliseconds") == "2026-01-01T00:00:00.123+00:00"
    assert row == {
        "group_id": "sorters",
        "topic": TOPIC,
        "partition": 2,
        "first_offset": 3,
        "model_name": "text",
        "model_version": "bbb",
        "registered_version": 2,
        "previous_model_version": "aaa",
        "previous_registered_version": 1,
        "worker": "w-1",
    }


def test_a_worker_is_called_by_its_static_name_or_by_host_and_process() -> None:
    assert worker_name("sorter-3") == "sorter-3"
    assert worker_name(None).endswith(f"-{os.getpid()}")
