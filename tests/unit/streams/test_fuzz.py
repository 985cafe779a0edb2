"""A hundred thousand hostile records through the whole path: fetched bytes, decode, decide, encode, bytes to send.

Nothing crashes, and each record is in exactly one place: among the categorized, for review, or a dead letter with
its own bytes and a reason.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache

import numpy as np
import pyarrow as pa
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import columns
from schemas.avro_files import load_schema
from schemas.decoding import Decoder
from schemas.encoding import Encoder
from schemas.registry import InMemoryRegistry
from schemas.wire import SchemaId
from streams.batch_reading import read_batch
from streams.batch_writing import write_batch
from streams.dialects import read_failure
from streams.output_columns import Outputs
from streams.record_slice import RecordSlice
from streams.records import Header, Output
from streams.slices import SliceProcessor
from tests.tiny_model import fit_tiny_classifier, tiny_products

N_EXAMPLES = 50
N_RECORDS = 2_000  # of each example: together 100,000
IN = "products.created"

_NAMES = ("traceparent", "ce_id", "", "ü" * 9, "__connect.errors.topic")
_VALUES = (None, b"\xff", b"x" * 300)

Given = tuple[bytes | None, bytes | None, list[Header]]


@cache
def _setting() -> tuple[SliceProcessor, Decoder, list[tuple[bytes, bytes]]]:
    registry = InMemoryRegistry()
    schema = load_schema("product_created")
    created = registry.register(f"{IN}-value", schema)
    registry.register("other-value", '{"type": "record", "name": "Other", "fields": []}')
    published = load_schema("product_categorized")
    categorized = registry.register("products.categorized-value", published)
    processor = SliceProcessor(
        decoder=Decoder(registry, schema, columns.PRODUCT),
        classifier=fit_tiny_classifier(threshold=0.98),
        encoder=Encoder(published, categorized),
        review_encoder=Encoder(published, SchemaId(categorized + 100)),
        group_id="g",
        now_ms=lambda: 1_700_000_000_000,
    )
    products = tiny_products().select(columns.PRODUCT.names)
    values = Encoder(schema, created).encode(products)
    keys = [str(one).encode() for one in products.column("product_id").to_pylist()]
    reader = Decoder(registry, published, columns.PRODUCT_CATEGORIZED)
    return processor, reader, list(zip(keys, values, strict=True))


def _hostile(chance: random.Random, good: Sequence[tuple[bytes, bytes]]) -> Given:
    """Return a record that is good, or has one or more things wrong with it."""
    key: bytes | None
    value: bytes | None
    key, value = chance.choice(good)
    headers: list[Header] = (
        [("traceparent", chance.randbytes(chance.randrange(60)))] if chance.random() < 0.3 else []
    )
    what = chance.random()
    if what < 0.4:
        return key, value, headers
    for _ in range(chance.randrange(1, 3)):
        how = chance.randrange(9)
        body = bytearray(value or b"")
        at = chance.randrange(len(body) + 1)
        if how == 0:
            value = None
        elif how == 1:
            key = chance.choice([None, b"", b"\xff\xfe", chance.randbytes(8)])
        elif how == 2:
            value = bytes(body[:at])
        elif how == 3:
            value = bytes(body) + chance.randbytes(chance.randrange(1, 9))
        elif how == 4:
            body[at:at] = chance.randbytes(chance.randrange(1, 4))
            value = bytes(body)
        elif how == 5:
            for _ in range(chance.randrange(1, 4)):
                if body:
                    body[chance.randrange(len(body))] = chance.randrange(256)
            value = bytes(body)
        elif how == 6:
            value = chance.randbytes(chance.randrange(80))
        elif how == 7:
            value = b"\0" + chance.choice([0, 1, 2, 3, 2**31]).to_bytes(4, "big") + bytes(body[5:])
        else:
            headers = [(chance.choice(_NAMES), chance.choice(_VALUES)) for _ in range(chance.randrange(4))]
    return key, value, headers


def _fetched(records: Sequence[Given]) -> RecordSlice:
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 26)
    for at, (key, value, headers) in enumerate(records):
        builder.append(at, 1_000 + at, key, value, headers)
    data = np.frombuffer(bytes(builder.build()), np.uint8)
    return RecordSlice((IN, 3), read_batch(data, 0, len(data)))


def _sent(outputs: Sequence[Output]) -> list[tuple[bytes | None, bytes | None]]:
    """Write the outputs and let aiokafka read what would be sent."""
    assert isinstance(outputs, Outputs)
    found: list[tuple[bytes | None, bytes | None]] = []
    for part in outputs.parts:
        at = 0
        while at < len(part):
            batch, at = write_batch(part.arrays, at, most_bytes=50_000, compression=None, is_transactional=True)
            read = MemoryRecords(bytes(batch._build())).next_batch()
            assert read is not None
            assert read.validate_crc()
            found += [(one.key, one.value) for one in read]
    return found


@settings(max_examples=N_EXAMPLES, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**64 - 1))
def test_every_hostile_record_is_accounted_for(seed: int) -> None:
    processor, reader, good = _setting()
    chance = random.Random(seed)
    records = [_hostile(chance, good) for _ in range(N_RECORDS)]
    outputs = processor.process(_fetched(records))
    assert outputs.n_records == N_RECORDS
    assert all(len(one) > 100 for one in (outputs.categorized, outputs.review, outputs.dead_letters))

    places = [one.record.offset for part in (outputs.categorized, outputs.review) for one in part]
    places += [one.record.offset for one in outputs.dead_letters]
    assert sorted(places) == list(range(N_RECORDS))
    for letter in outputs.dead_letters:
        key, value, headers = records[letter.record.offset]
        assert (letter.key, letter.value) == (key, value)
        assert list(letter.headers[: len(headers)]) == headers
        failure = read_failure(letter.headers)
        assert failure is not None
        assert failure[1].reason

    for where in (outputs.categorized, outputs.review):
        sent = _sent(where)
        assert sent == [(one.key, one.value) for one in where]
        for key, value in sent:
            assert key
            if value is not None:
                assert value[0] == 0
    _check_decisions(reader, [value for _, value in _sent(outputs.categorized) if value is not None])


def _check_decisions(reader: Decoder, values: Sequence[bytes]) -> None:
    """Check that what would be published can be read, and is a decision."""
    decoded = reader.decode(values)
    assert decoded.rejected == ()
    batch: pa.RecordBatch = decoded.batch
    confidences = np.asarray(batch.column("confidence"))
    assert ((confidences >= 0) & (confidences <= 1)).all()
    assert set(batch.column("decision").to_pylist()) <= {"accepted", "backed_off"}
