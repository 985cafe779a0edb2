"""Record batches by columns, held to aiokafka's own reading and writing of the same bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.cloudevents import output_headers, rfc3339
from streams.batch_format import BATCH_HEADER
from streams.batch_reading import RecordArrays, join, read_batch
from streams.batch_writing import FilledBatch, write_batch
from streams.output_columns import Envelope, OutputSlice, OutputWriter, sorted_out
from streams.record_slice import RecordGroup, RecordSlice, laid_out
from streams.records import Header

IN = "products.created"
CODECS = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


@dataclass(frozen=True)
class Given:
    """A record as a test writes it."""

    key: bytes | None = b"k"
    value: bytes | None = b"v"
    headers: list[Header] = field(default_factory=list)
    timestamp: int = 1_700_000_000_000


def written(records: list[Given], *, codec: int = 0, base_offset: int = 0) -> bytes:
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1 << 24)
    for at, one in enumerate(records):
        builder.append(at, one.timestamp, one.key, one.value, one.headers)
    batch = bytearray(builder.build())
    batch[:8] = base_offset.to_bytes(8, "big")  # the broker does this; it is not in the checksum
    return bytes(batch)


def read(data: bytes) -> RecordArrays:
    return read_batch(np.frombuffer(data, np.uint8), 0, len(data))


def plain(records: RecordSlice) -> list[Given]:
    return [Given(one.key, one.value, list(one.headers), one.timestamp) for one in records]


texts = st.text(max_size=6)
blobs = st.none() | st.binary(max_size=300)
headers = st.lists(st.tuples(st.sampled_from(["traceparent", "a", "ü"]) | texts, blobs), max_size=4)
given_records = st.lists(st.builds(Given, blobs, blobs, headers, st.integers(0, 2**42)), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(records=given_records, codec=st.sampled_from([0, 0, 1, 2, 3, 4]), base=st.integers(0, 2**40))
def test_what_aiokafka_wrote_is_read_back(records: list[Given], codec: int, base: int) -> None:
    arrays = read(written(records, codec=codec, base_offset=base))
    assert plain(RecordSlice((IN, 3), arrays)) == records
    assert arrays.offsets.tolist() == list(range(base, base + len(records)))


@settings(max_examples=60, deadline=None)
@given(records=given_records)
def test_objects_laid_out_are_the_same_objects(records: list[Given]) -> None:
    once = RecordSlice((IN, 3), read(written(records)))
    again = RecordSlice((IN, 3), laid_out(list(once)))
    assert list(again) == list(once)
    trace = [
        next((value for name, value in reversed(one.headers) if name == "traceparent" and value is not None), None)
        for one in records
    ]
    for part in (once, again):
        arrays = part.arrays
        assert [
            None if size < 0 else arrays.buffer[at : at + size].tobytes()
            for at, size in zip(arrays.trace_at, arrays.trace_size, strict=True)
        ] == trace


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_bytes_are_refused_or_read_within_their_bounds(data: st.DataObject) -> None:
    batch = bytearray(written([Given(b"key", b"value" * 9, [("a", b"b")]) for _ in range(4)]))
    for _ in range(data.draw(st.integers(1, 3))):
        batch[data.draw(st.integers(BATCH_HEADER.size - 4, len(batch) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(BATCH_HEADER.size, len(batch)))
    try:
        arrays = read_batch(np.frombuffer(bytes(batch[:cut]), np.uint8), 0, cut)
    except CorruptRecordException:
        return
    list(RecordSlice((IN, 0), arrays))


def test_an_old_format_is_refused_with_a_sentence() -> None:
    batch = bytearray(written([Given()]))
    batch[16] = 1
    with pytest.raises(CorruptRecordException, match="format 1"):
        read(bytes(batch))


def test_the_brokers_timestamp_holds_for_the_whole_batch() -> None:
    batch = bytearray(written([Given(timestamp=5), Given(timestamp=9)]))
    batch[22] |= 0x08
    records = RecordSlice((IN, 0), read(bytes(batch)))
    assert [(one.timestamp, one.timestamp_type) for one in records] == [(9, 1), (9, 1)]


def test_batches_of_one_and_of_several_buffers_are_joined() -> None:
    parts = [read(written([Given(b"%d" % n, b"v%d" % n, [("traceparent", b"t%d" % n)])])) for n in range(3)]
    joined = RecordSlice((IN, 0), join(parts))
    assert [(one.key, one.value, one.headers) for one in joined] == [
        (b"%d" % n, b"v%d" % n, (("traceparent", b"t%d" % n),)) for n in range(3)
    ]
    whole = read(written([Given(b"%d" % n) for n in range(4)]))
    again = join([whole.between(0, 2), whole.between(2, 4)])
    assert again.buffer is whole.buffer
    assert [one.key for one in RecordSlice((IN, 0), again)] == [b"0", b"1", b"2", b"3"]


def test_a_group_gathers_values_and_keys_of_all_its_slices() -> None:
    rows: list[list[tuple[bytes | None, bytes | None]]] = [
        [(b"a", b"1"), (None, b"22")],
        [(b"ccc", None)],
        [(b"", b"4444"), (b"e", b"")],
    ]
    slices = [
        RecordSlice((IN, n), read(written([Given(key, value) for key, value in part])))
        for n, part in enumerate(rows)
    ]
    group = RecordGroup(slices)
    flat = [row for part in rows for row in part]
    everything = np.arange(5)
    assert group.keys(everything).to_pylist() == [key for key, _ in flat]
    assert [-1 if value is None else len(value) for _, value in flat] == group.value_sizes.tolist()
    assert list(group.values(np.array([0, 1, 3, 4]))) == [b"1", b"22", b"4444", b""]
    assert list(group.values(np.array([1, 3]))) == [b"22", b"4444"]
    assert group.keys(np.array([], np.int64)).to_pylist() == []
    places = {name: column.to_pylist() for name, column in group.places(np.array([0, 1, 2, 4])).items()}
    assert places == {"topic": [IN], "partition": [0, 0, 1, 2], "offset": [0, 1, 0, 1]}
    assert [one.key for one in group] == [group[at].key for at in range(5)] == [key for key, _ in flat]
    assert RecordGroup.of(list(group)).keys(everything).to_pylist() == [key for key, _ in flat]


ENVELOPE = Envelope(
    source="/sortline/g",
    type="io.categorized",
    tombstone_type="io.withdrawn",
    time_header=rfc3339(1_700_000_000_000),
    timestamp_ms=1_700_000_000_000,
)


def outputs_of(records: RecordSlice, values: list[bytes | None], frame: bytes = b"\0\0\0\0\7") -> OutputSlice:
    real = [one for one in values if one is not None]
    nth = np.cumsum([one is not None for one in values]) - 1
    found = sorted_out(
        np.zeros(len(values), np.uint8),
        np.array([0, len(values)]),
        np.where([one is not None for one in values], nth, -1),
        np.concatenate([[0], np.cumsum([len(one) for one in real])]).astype(np.int64),
        1,
    )
    return OutputWriter(ENVELOPE).write(
        records,
        found.rows,
        values=np.frombuffer(b"".join(real), np.uint8),
        value_at=found.value_at,
        value_size=found.value_size,
        frame=frame,
    )


def batches(outputs: OutputSlice, *, most_bytes: int = 1 << 20, **more: Any) -> list[FilledBatch]:
    found: list[FilledBatch] = []
    at = 0
    while at < len(outputs):
        more = {"compression": None, "is_transactional": False, **more}
        batch, at = write_batch(outputs.arrays, at, most_bytes=most_bytes, **more)
        found.append(batch)
    return found


def read_by_aiokafka(batch: FilledBatch) -> tuple[DefaultRecordBatch, list[Any]]:
    found = MemoryRecords(bytes(batch._build())).next_batch()
    assert found is not None
    assert found.validate_crc()
    return found, list(found)


@settings(max_examples=60, deadline=None)
@given(
    records=given_records,
    data=st.data(),
    compression=st.sampled_from([None, "gzip", "lz4"]),
    most=st.integers(100, 4_000),
)
def test_aiokafka_reads_what_was_written(
    records: list[Given], data: st.DataObject, compression: str | None, most: int
) -> None:
    source = RecordSlice((IN, 3), read(written(records, base_offset=97)))
    values = data.draw(st.lists(blobs, min_size=len(records), max_size=len(records)))
    outputs = outputs_of(source, values)
    found: list[Any] = []
    for batch in batches(outputs, most_bytes=most, compression=compression):
        batch._set_producer_state(7, 2, 40)
        header, rows = read_by_aiokafka(batch)
        assert (header.producer_id, header.producer_epoch, header.base_sequence) == (7, 2, 40)
        assert [one.offset for one in rows] == list(range(batch.record_count()))
        assert compression is not None or batch.size() <= most or batch.record_count() == 1
        found += rows
    assert [(one.key, one.value, list(one.headers), one.timestamp) for one in found] == [
        (
            one.key,
            None if value is None else b"\0\0\0\0\7" + value,
            output_headers(
                source=ENVELOPE.source,
                type=ENVELOPE.tombstone_type if value is None else ENVELOPE.type,
                topic=IN,
                partition=3,
                offset=97 + at,
                time_header=ENVELOPE.time_header,
                incoming=one.headers,
            ),
            ENVELOPE.timestamp_ms,
        )
        for at, (one, value) in enumerate(zip(records, values, strict=True))
    ]
    assert [(one.key, one.value, list(one.headers)) for one in outputs] == [
        (one.key, one.value, list(one.headers)) for one in found
    ]


def test_a_transactional_batch_says_so_and_a_retry_changes_only_the_producers_state() -> None:
    source = RecordSlice((IN, 0), read(written([Given(), Given()])))
    (batch,) = batches(outputs_of(source, [b"a", b"b"]), is_transactional=True)
    batch._set_producer_state(1, 0, 0)
    first, rows = read_by_aiokafka(batch)
    assert first.is_transactional
    batch._set_producer_state(9, 1, 2)
    again, same_rows = read_by_aiokafka(batch)
    assert (again.producer_id, again.base_sequence) == (9, 2)
    assert [one.value for one in same_rows] == [one.value for one in rows]
    assert batch.closed()


def test_a_cut_of_outputs_is_written_like_the_whole() -> None:
    source = RecordSlice((IN, 0), read(written([Given(b"%d" % n) for n in range(6)])))
    outputs = outputs_of(source, [b"v%d" % n for n in range(6)])
    whole = [one.value for batch in batches(outputs) for one in read_by_aiokafka(batch)[1]]
    cut = [one.value for batch in batches(outputs[2:5]) for one in read_by_aiokafka(batch)[1]]
    assert cut == whole[2:5]
    assert [one.record.offset for one in outputs[2:5]] == [2, 3, 4]
