from __future__ import annotations

import pyarrow as pa

from schemas.columns import LABELLED_PRODUCT, PRODUCT
from schemas.product_records import encoder_for, product_records, withdrawal
from schemas.registry import InMemoryRegistry
from schemas.wire import split

TRACEPARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_record_has_its_product_s_key_and_the_schema_of_its_topic() -> None:
    registry = InMemoryRegistry()
    row = {"product_id": "p-é", "title": "Lamp", "category_path": ["Home"]}
    for labelled, columns, kind in ((False, PRODUCT, b"created"), (True, LABELLED_PRODUCT, b"labelled")):
        encoder = encoder_for("products.any", labelled=labelled, registry=registry)
        batch = pa.RecordBatch.from_pylist([{k: v for k, v in row.items() if k in columns.names}], schema=columns)
        (record,) = product_records(batch, encoder, source="/here", labelled=labelled, now_ms=1_700_000_000_000)
        assert record.key == "p-é".encode()
        assert record.value is not None
        assert split(record.value)[0] == registry.latest("products.any-value")
        headers = dict(record.headers)
        assert headers["ce_source"] == b"/here"
        assert headers["ce_type"] == b"io.sortline.product." + kind + b".v1"
        assert headers["ce_time"] == b"2023-11-14T22:13:20.000Z"
        assert len(headers["ce_id"]) == 32
        assert "traceparent" not in headers


def test_each_record_has_an_id_of_its_own_and_the_trace_it_belongs_to() -> None:
    encoder = encoder_for("products.any", labelled=False, registry=InMemoryRegistry())
    batch = pa.RecordBatch.from_pylist([{"product_id": key, "title": "Lamp"} for key in "ab"], schema=PRODUCT)
    one, other = product_records(batch, encoder, source="/here", traceparent=TRACEPARENT)
    assert dict(one.headers)["ce_id"] != dict(other.headers)["ce_id"]
    assert dict(one.headers)["traceparent"] == dict(other.headers)["traceparent"] == TRACEPARENT


def test_a_withdrawal_is_a_tombstone_that_says_what_it_is() -> None:
    record = withdrawal("p-é", source="/here", traceparent=TRACEPARENT, now_ms=1_700_000_000_000)
    assert (record.key, record.value) == ("p-é".encode(), None)
    headers = dict(record.headers)
    assert headers["ce_type"] == b"io.sortline.product.withdrawn.v1"
    assert headers["traceparent"] == TRACEPARENT
