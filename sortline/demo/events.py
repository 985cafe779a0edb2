"""What the demo sends: products of the test part, unseen by the model, and some that nobody could sort."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from schemas.columns import PRODUCT
from schemas.encoding import Encoder
from schemas.errors import SetupError
from schemas.product_records import OutgoingRecord, product_records, withdrawal
from schemas.wire import SchemaId, frame, split
from sortline.product_producer import SOURCE
from training.splits import TEST, assign_parts, groups_of

#: An id that no registry gives out in a demo.
_UNKNOWN_SCHEMA_ID: Final = SchemaId(2_000_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoEvents:
    """What is sent, in this order, and what the model does not get to see.

    Attributes:
        records: every record for `products.created`.
        titles: the title of each product_id.
        labels: the true category of each product_id.
        n_broken: how many records belong in the dead-letter topic.
        n_withdrawn: how many are tombstones.
    """

    records: tuple[OutgoingRecord, ...]
    titles: dict[str, str]
    labels: dict[str, tuple[str, ...]]
    n_broken: int
    n_withdrawn: int


def sample_catalog_path() -> Path:
    """Return where the sample catalogue is."""
    return Path(str(files("sortline").joinpath("sample_data", "pcparts.parquet")))


def unseen_products(catalog: pa.Table, *, seed: int, rows: int) -> pa.Table:
    """Choose that many products of the part that training with this seed leaves for the test.

    Raises SetupError if the part has fewer.
    """
    # By the titles: a topic does not carry the file's own groups, and training read the topic.
    parts = assign_parts(groups_of(catalog.select(["title"])), seed=seed)
    test = np.flatnonzero(parts == TEST)
    if rows > test.size:
        raise SetupError(f"option --events: the test part of the catalogue has {test.size:,} products")
    return catalog.take(pa.array(np.random.default_rng(seed).permutation(test)[:rows]))


def demo_events(products: pa.Table, encoder: Encoder) -> DemoEvents:
    """Make the records of these labelled products, with broken ones and a tombstone spread among them."""
    columns = products.select(PRODUCT.names).cast(PRODUCT)
    records: list[OutgoingRecord] = []
    for batch in columns.to_batches(max_chunksize=1_000):
        records += product_records(batch, encoder, source=SOURCE)
    withdrawn = withdrawal(records[0].key.decode(), source="/sortline/demo")
    broken = _broken_records(columns, encoder)
    every = max(1, len(records) // (len(broken) + 2))
    for at, record in enumerate([*broken, withdrawn], start=1):
        records.insert(min(at * every, len(records)), record)
    rows = products.select(["product_id", "title", "category_path"]).to_pylist()
    return DemoEvents(
        records=tuple(records),
        titles={row["product_id"]: row["title"] for row in rows},
        labels={row["product_id"]: tuple(row["category_path"]) for row in rows},
        n_broken=len(broken),
        n_withdrawn=1,
    )


def _broken_records(products: pa.Table, encoder: Encoder) -> list[OutgoingRecord]:
    """Return one record for each way in which producers get it wrong."""
    good = products.slice(0, 1).combine_chunks().to_batches()[0]
    (whole,) = product_records(good, encoder, source=SOURCE)
    _, datum = split(whole.value or b"")
    json_value = b'{"product_id": "broken-json", "title": "Written without the Avro serializer"}'
    records = [
        OutgoingRecord(b"broken-json", json_value, whole.headers),
        OutgoingRecord(b"broken-schema-id", frame(_UNKNOWN_SCHEMA_ID, datum), whole.headers),
        OutgoingRecord(b"broken-cut-off", (whole.value or b"")[:12], whole.headers),
    ]
    for key, changes in (
        ("broken-blank-title", {"title": "   "}),
        ("broken-negative-price", {"price_minor": -1_999}),
    ):
        records += product_records(_changed(good, {"product_id": key, **changes}), encoder, source=SOURCE)
    (other,) = product_records(_changed(good, {"product_id": "another-product"}), encoder, source=SOURCE)
    records.append(OutgoingRecord(b"broken-key-mismatch", other.value, other.headers))
    return records


def _changed(batch: pa.RecordBatch, changes: dict[str, object]) -> pa.RecordBatch:
    (row,) = batch.to_pylist()
    return pa.RecordBatch.from_pylist([{**row, **changes}], schema=PRODUCT)
