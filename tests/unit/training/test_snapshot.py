from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.avro_files import load_schema
from schemas.encoding import Encoder
from schemas.errors import InputFileError, SetupError
from schemas.registry import InMemoryRegistry
from schemas.wire import SchemaId
from tests.unit.training.made_catalog import made_products
from training.catalog import content_digest
from training.compacted_topic import CompactedTopic, LatestRecord
from training.progress import SilentProgress
from training.snapshot import Snapshot, build_snapshot, read_snapshot, write_snapshot

SCHEMA = load_schema("labelled_product")
PRODUCTS = made_products(300)


def registry() -> tuple[InMemoryRegistry, SchemaId]:
    known = InMemoryRegistry()
    return known, known.register("products.catalog-value", SCHEMA)


def topic_of(values: dict[bytes, bytes | None], *, keyless: tuple[str, ...] = ()) -> CompactedTopic:
    return CompactedTopic(
        topic="products.catalog",
        latest={key: LatestRecord(0, offset, 0, value) for offset, (key, value) in enumerate(values.items())},
        keyless=keyless,
        offsets={0: (0, len(values) - 1)},
    )


def values_of(products: pa.Table, schema_id: SchemaId) -> dict[bytes, bytes | None]:
    values = Encoder(SCHEMA, schema_id).encode(products.combine_chunks().to_batches()[0])
    return {
        str(key).encode(): value for key, value in zip(products["product_id"].to_pylist(), values, strict=True)
    }


def snapshot_of(changes: dict[bytes, bytes | None], *, keyless: tuple[str, ...] = ()) -> Snapshot:
    known, schema_id = registry()
    values = values_of(PRODUCTS, schema_id) | changes
    return build_snapshot(topic_of(values, keyless=keyless), known, SilentProgress())


def test_a_snapshot_holds_the_products_of_the_topic_and_says_where_they_are_from() -> None:
    snapshot = snapshot_of({})

    assert snapshot.products.equals(PRODUCTS)
    assert snapshot.lineage.to_json() == {
        "offsets": {"products.catalog": {"0": [0, 299]}},
        "schema_ids": [1],
        "rows": 300,
        "removed": 0,
        "rejected": 0,
        "content_digest": content_digest(PRODUCTS),
    }


def test_a_tombstone_removes_the_product_from_the_snapshot() -> None:
    snapshot = snapshot_of({b"p00017": None, b"never seen": None})

    assert "p00017" not in snapshot.products["product_id"].to_pylist()
    assert (snapshot.lineage.rows, snapshot.lineage.removed) == (299, 2)


def test_unusable_products_are_left_out_and_counted_with_their_reasons() -> None:
    _, schema_id = registry()
    unlabelled = PRODUCTS.slice(0, 1).set_column(
        PRODUCTS.schema.get_field_index("category_path"), "category_path", pa.array([[]], pa.list_(pa.string()))
    )
    (value,) = values_of(unlabelled, schema_id).values()
    snapshot = snapshot_of(
        {b"p00000": value, b"p00001": b"no avro", b"other key": value}, keyless=("products.catalog/2/7",)
    )

    assert snapshot.lineage.rows == 298
    assert snapshot.lineage.rejected == 4
    assert sum(snapshot.rejected.values()) == 4
    places = dict(snapshot.rejected_examples)
    assert "category_path is empty" in places["products.catalog/0/0"]
    assert "products.catalog/0/1" in places
    assert "key" in places["products.catalog/0/300"]
    assert places["products.catalog/2/7"] == "the record has no key"


def test_too_many_unusable_products_are_refused_with_their_first_reason() -> None:
    broken: dict[bytes, bytes | None] = {f"p{row:05d}".encode(): b"broken" for row in range(16)}

    with pytest.raises(SetupError, match=r"16 of the 300 products in products.catalog .* more than 5%.*/0/0: "):
        snapshot_of(broken)
    del broken[b"p00000"]
    assert snapshot_of(broken).lineage.rejected == 15


def test_a_topic_without_products_is_refused_with_what_to_do() -> None:
    known, _ = registry()

    with pytest.raises(SetupError, match="sortline produce FILE --catalog"):
        build_snapshot(topic_of({b"gone": None}), known, SilentProgress())
    with pytest.raises(SetupError, match="1 of the 1 products"):
        build_snapshot(topic_of({b"broken": b"?"}), known, SilentProgress())


def test_a_snapshot_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    snapshot = snapshot_of({b"p00001": b"broken"})
    write_snapshot(snapshot, tmp_path / "new" / "snapshot.parquet")

    again = read_snapshot(tmp_path / "new" / "snapshot.parquet")
    assert again.products.equals(snapshot.products)
    assert again.lineage == snapshot.lineage
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["snapshot.parquet"]


def test_a_file_that_is_no_snapshot_or_was_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.parquet"
    with pytest.raises(InputFileError, match="not a snapshot"):
        read_snapshot(path)
    pq.write_table(PRODUCTS, path)
    with pytest.raises(InputFileError, match="not a snapshot"):
        read_snapshot(path)

    write_snapshot(snapshot_of({}), path)
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)
    with pytest.raises(InputFileError, match="was changed"):
        read_snapshot(path)


def test_a_snapshot_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(SetupError, match="cannot be written"):
        write_snapshot(snapshot_of({}), tmp_path / "file" / "snapshot.parquet")
    (tmp_path / "folder").mkdir()
    with pytest.raises(SetupError, match="cannot be written"):
        write_snapshot(snapshot_of({}), tmp_path / "folder")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder"]
