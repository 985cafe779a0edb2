from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from schemas.avro_files import load_examples
from schemas.encoding import Encoder
from schemas.errors import SortlineError
from tests.unit.schemas.avro_oracle import write_value
from tests.unit.schemas.conftest import COLUMNS, Subject

every_schema = pytest.mark.parametrize("stem", COLUMNS)


@pytest.fixture
def categorized(subject: Callable[[str], Subject]) -> Subject:
    return subject("product_categorized")


def changed(batch: pa.RecordBatch, name: str, column: pa.Array[Any]) -> pa.RecordBatch:
    at = batch.schema.get_field_index(name)
    return batch.set_column(at, pa.field(name, column.type), column)


@every_schema
def test_our_schemas_are_encoded_by_column(subject: Callable[[str], Subject], stem: str) -> None:
    assert subject(stem).encoder.by_column


@every_schema
def test_row_by_row_gives_the_same_bytes(subject: Callable[[str], Subject], stem: str) -> None:
    our = subject(stem)
    batch = our.batch(load_examples(stem))
    by_row = Encoder(our.text, our.schema_id)
    by_row.by_column = False
    assert by_row.encode(batch) == our.encoder.encode(batch)


@every_schema
@pytest.mark.parametrize("by_column", [True, False])
def test_a_slice_is_encoded_as_the_rows_that_it_shows(
    subject: Callable[[str], Subject], stem: str, by_column: bool
) -> None:
    our = subject(stem)
    examples = load_examples(stem)
    encoder = Encoder(our.text, our.schema_id)
    encoder.by_column = by_column
    expected = [write_value(our.schema_id, our.text, example) for example in examples]
    batch = our.batch(examples)
    assert encoder.encode(batch.slice(2, 3)) == expected[2:5]
    assert encoder.encode(batch.slice(1, 0)) == []


def test_other_columns_and_their_order_do_not_matter(categorized: Subject) -> None:
    batch = categorized.batch(load_examples("product_categorized"))
    mixed = batch.select(list(reversed(batch.schema.names))).append_column("more", pa.nulls(batch.num_rows))
    assert categorized.encoder.encode(mixed) == categorized.encoder.encode(batch)


def test_a_time_beyond_the_year_9999_is_a_number_like_any_other(subject: Callable[[str], Subject]) -> None:
    our = subject("product_created")
    row = {"product_id": "p", "title": "t", "created_at": 2**62}
    by_row = Encoder(our.text, our.schema_id)
    by_row.by_column = False
    expected = [write_value(our.schema_id, our.text, row)]
    assert our.encoder.encode(our.batch([row])) == by_row.encode(our.batch([row])) == expected


@pytest.mark.parametrize("by_column", [True, False])
@pytest.mark.parametrize(
    ("name", "column", "sentence"),
    [
        ("model_name", pa.array([None, "m"], pa.string()), "a null in column model_name"),
        ("category_path", pa.array([None, ["a"]], pa.list_(pa.string())), "a null in column category_path"),
        ("decision", pa.array(["accepted", "rejected"]), "cannot be encoded as ProductCategorized: "),
        ("confidence", pa.array(["high", "low"]), "cannot be encoded as ProductCategorized: "),
    ],
)
def test_a_batch_that_the_schema_does_not_describe_is_refused_whole(
    categorized: Subject, name: str, column: pa.Array[Any], sentence: str, by_column: bool
) -> None:
    batch = categorized.batch(load_examples("product_categorized")[:2])
    encoder = Encoder(categorized.text, categorized.schema_id)
    encoder.by_column = by_column
    with pytest.raises(SortlineError, match=sentence):
        encoder.encode(changed(batch, name, column))


def test_a_missing_column_is_named(categorized: Subject) -> None:
    batch = categorized.batch(load_examples("product_categorized")).drop_columns(["source", "decision"])
    with pytest.raises(SortlineError, match="without column decision, source cannot be encoded"):
        categorized.encoder.encode(batch)


@every_schema
@pytest.mark.parametrize("by_column", [True, False])
def test_frame_and_datum_are_the_value(subject: Callable[[str], Subject], stem: str, by_column: bool) -> None:
    our = subject(stem)
    batch = our.batch(load_examples(stem))
    encoder = Encoder(our.text, our.schema_id)
    encoder.by_column = by_column
    datums = encoder.encode_arrays(batch)
    assert datums.type == pa.binary()
    assert [encoder.frame + (datum or b"") for datum in datums.to_pylist()] == encoder.encode(batch)
    assert len(encoder.encode_arrays(batch.slice(1, 0))) == 0
