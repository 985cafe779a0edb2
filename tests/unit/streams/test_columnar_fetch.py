"""Slices of a fetch: how many records, which are hidden, and where the next fetch goes on."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import TopicPartition

from streams.columnar_fetch import ColumnarRecords, KeptRecords
from streams.record_slice import RecordSlice

TP = TopicPartition("products.created", 2)
#: Attributes of a batch: written in a transaction, and a marker of its end.
TRANSACTIONAL, CONTROL = 0x10, 0x20


def batch(
    base: int, n: int, *, producer: int = -1, is_transactional: bool = False, last: int | None = None
) -> bytes:
    """Return a batch of n records; `last` is its last offset, if compaction took the record of it."""
    builder = DefaultRecordBatchBuilder(2, 0, int(is_transactional), producer, 0, 0, 1 << 16)
    for at in range(n):
        builder.append(at, 1_000, b"k%d" % (base + at), b"v", [])
    data = bytearray(builder.build())
    data[:8] = base.to_bytes(8, "big")
    if last is not None:
        data[23:27] = (last - base).to_bytes(4, "big")
    return bytes(data)


def marker(base: int, producer: int, *, is_abort: bool) -> bytes:
    """Return the batch that ends a transaction."""
    builder = DefaultRecordBatchBuilder(2, 0, 1, producer, 0, -1, 1 << 16)
    builder.append(0, 1_000, b"\0\0" + (b"\0\0" if is_abort else b"\0\1"), b"\0" * 6, [])
    data = bytearray(builder.build())
    data[:8] = base.to_bytes(8, "big")
    data[22] |= CONTROL
    return bytes(data)


def fetched(
    *batches: bytes, at: int = 0, aborted: list[tuple[int, int]] | None = None, checks: bool = False
) -> Any:
    return ColumnarRecords(TP, KeptRecords(b"".join(batches)), aborted, at, None, None, checks, READ_COMMITTED)


def taken(records: Any, most: int | None) -> tuple[list[int], bool, int]:
    """Return the offsets of what was taken, whether it was the last, and where the next fetch begins."""
    found, is_done = records.take(most)
    offsets = [] if found is None else [one.offset for one in found]
    return offsets, is_done, records.next_fetch_offset


def test_batches_are_handed_out_together_up_to_the_wanted_number() -> None:
    records = fetched(batch(0, 3), batch(3, 4))
    assert taken(records, 5) == ([0, 1, 2, 3, 4], False, 5)
    assert taken(records, 5) == ([5, 6], True, 7)


def test_without_a_limit_everything_comes_at_once_over_one_buffer() -> None:
    records = fetched(batch(0, 3), batch(3, 4))
    found, is_done = records.take(None)
    assert isinstance(found, RecordSlice)
    assert (len(found), is_done, found.source) == (7, True, TP)
    assert found.arrays.buffer is records._records.buffer


def test_what_lies_before_the_position_in_a_batch_is_left_out() -> None:
    assert taken(fetched(batch(0, 3), batch(3, 2), at=2), None) == ([2, 3, 4], True, 5)


def test_a_batch_that_ends_in_a_gap_is_left_behind_as_a_whole() -> None:
    assert taken(fetched(batch(0, 2, last=9)), None) == ([0, 1], True, 10)


def test_aborted_records_and_markers_are_hidden_and_passed() -> None:
    records = fetched(
        batch(0, 2, producer=7, is_transactional=True),
        batch(2, 2, producer=8, is_transactional=True),
        marker(4, 7, is_abort=True),
        marker(5, 8, is_abort=False),
        batch(6, 1, producer=7, is_transactional=True),
        marker(7, 7, is_abort=False),
        aborted=[(7, 0)],
    )
    assert taken(records, None) == ([2, 3, 6], True, 8)


def test_a_fetch_of_nothing_but_hidden_records_moves_the_position_all_the_same() -> None:
    records = fetched(
        batch(0, 2, producer=7, is_transactional=True), marker(2, 7, is_abort=True), aborted=[(7, 0)]
    )
    assert taken(records, 10) == ([], True, 3)


def test_a_wrong_checksum_is_an_error_if_checksums_are_looked_at() -> None:
    damaged = bytearray(batch(0, 2))
    damaged[-1] ^= 1
    with pytest.raises(CorruptRecordException, match="checksum"):
        taken(fetched(bytes(damaged), checks=True), None)


def test_a_batch_that_the_fetch_cut_off_is_left_for_the_next_one() -> None:
    assert taken(fetched(batch(0, 2), batch(2, 5)[:40]), None) == ([0, 1], True, 2)
