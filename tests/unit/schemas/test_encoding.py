from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.arrow_types import arrow_schema
from schemas.avro_files import load_examples
from schemas.avro_types import parse_record
from schemas.encoding import Encoder
from schemas.encoding_plan import Column
from schemas.errors import SortlineError
from schemas.wire import SchemaId
from tests.unit.schemas.avro_oracle import write_value
from tests.unit.schemas.conftest import COLUMNS, Subject

every_schema = pytest.mark.parametrize("stem", COLUMNS)


@pytest.fixture
def categorized(subject: Callable[[str], Subject]) -> Subject:
    return subject("product_categorized")


def changed(batch: pa.RecordBatch, name: str, column: pa.Array[Any]) -> pa.RecordBatch:
    at = batch.schema.get_field_index(name)
    return batch.set_column(at, pa.field(name, column.type), column)


def columns_of(batch: pa.RecordBatch) -> dict[str, pa.Array[Any]]:
    return dict(zip(batch.schema.names, batch.columns, strict=True))


@every_schema
def test_examples_have_the_bytes_that_another_library_gives_them(
    subject: Callable[[str], Subject], stem: str
) -> None:
    our = subject(stem)
    examples = load_examples(stem)
    expected = [write_value(our.schema_id, our.text, example) for example in examples]
    assert our.encoder.encode(our.batch(examples)) == expected


@every_schema
def test_a_slice_is_encoded_as_the_rows_that_it_shows(subject: Callable[[str], Subject], stem: str) -> None:
    our = subject(stem)
    examples = load_examples(stem)
    expected = [write_value(our.schema_id, our.text, example) for example in examples]
    batch = our.batch(examples)
    assert our.encoder.encode(batch.slice(2, 3)) == expected[2:5]
    assert our.encoder.encode(batch.slice(1, 0)) == []


def test_other_columns_and_their_order_do_not_matter(categorized: Subject) -> None:
    batch = categorized.batch(load_examples("product_categorized"))
    mixed = batch.select(list(reversed(batch.schema.names))).append_column("more", pa.nulls(batch.num_rows))
    assert categorized.encoder.encode(mixed) == categorized.encoder.encode(batch)


def test_a_time_beyond_the_year_9999_is_a_number_like_any_other(subject: Callable[[str], Subject]) -> None:
    our = subject("product_created")
    row = {"product_id": "p", "title": "t", "created_at": 2**62}
    assert our.encoder.encode(our.batch([row])) == [write_value(our.schema_id, our.text, row)]


@pytest.mark.parametrize(
    ("name", "column", "sentence"),
    [
        ("model_name", pa.array([None, "m"], pa.string()), "a null in column model_name"),
        ("category_path", pa.array([None, ["a"]], pa.list_(pa.string())), "a null in column category_path"),
        ("category_path", pa.array([["a"], ["b", None]], pa.list_(pa.string())), "category_path is null"),
        ("decision", pa.array(["accepted", "rejected"]), "decision is null or unknown"),
        ("confidence", pa.array(["high", "low"]), "column confidence is of type string, not double"),
        ("category_path", pa.array(["a", "b"]), "column category_path is of type string, not list"),
        ("source", pa.array([1, 2]), "column source is of type int64, not struct"),
        ("source", pa.array([{"topic": "t", "partition": 1}] * 2), "column partition is of type int64, not int32"),
    ],
)
def test_a_batch_that_the_schema_does_not_describe_is_refused_whole(
    categorized: Subject, name: str, column: pa.Array[Any], sentence: str
) -> None:
    batch = categorized.batch(load_examples("product_categorized")[:2])
    with pytest.raises(SortlineError, match=f"cannot be encoded as ProductCategorized: .*{sentence}"):
        categorized.encoder.encode(changed(batch, name, column))


def test_a_missing_column_is_named(categorized: Subject) -> None:
    batch = categorized.batch(load_examples("product_categorized")).drop_columns(["source", "decision"])
    with pytest.raises(
        SortlineError, match="cannot be encoded as ProductCategorized: there is no column decision"
    ):
        categorized.encoder.encode(batch)


@every_schema
def test_frame_and_datum_are_the_value(subject: Callable[[str], Subject], stem: str) -> None:
    our = subject(stem)
    batch = our.batch(load_examples(stem))
    content, bounds = our.encoder.encode_columns(columns_of(batch), batch.num_rows)
    datums = [content[start:end].tobytes() for start, end in itertools.pairwise(bounds)]
    assert [our.encoder.frame + datum for datum in datums] == our.encoder.encode(batch)


def test_one_row_stands_for_all_and_a_record_may_be_its_fields(categorized: Subject) -> None:
    batch = categorized.batch(load_examples("product_categorized")[:1] * 3)
    columns = columns_of(batch)
    source = columns["source"]
    assert isinstance(source, pa.StructArray)
    short: dict[str, Column] = {name: columns[name][:1] for name in ("model_name", "decision", "categorized_at")}
    short["source"] = {name: source.field(name)[:1] for name in ("topic", "partition", "offset")}
    expected = categorized.encoder.encode_columns(columns, 3)
    found = categorized.encoder.encode_columns(columns | short, 3)
    assert found.content.tobytes() == expected.content.tobytes()
    assert found.bounds.tolist() == expected.bounds.tolist()


def test_a_column_of_another_length_is_refused(categorized: Subject) -> None:
    columns = columns_of(categorized.batch(load_examples("product_categorized")[:1] * 3))
    with pytest.raises(SortlineError, match="column model_name has 2 rows, not 3"):
        categorized.encoder.encode_columns(columns | {"model_name": columns["model_name"][:2]}, 3)
    with pytest.raises(SortlineError, match="column category_path has 1 rows, not 3"):
        categorized.encoder.encode_columns(columns | {"category_path": columns["category_path"][:1]}, 3)


#: Every type that our schemas may have, each also where it may be null, and null on either side of the union.
EVERY_TYPE = {
    "type": "record",
    "name": "Every",
    "fields": [
        {"name": "flag", "type": "boolean"},
        {"name": "no_flag", "type": ["boolean", "null"]},
        {"name": "number", "type": "int"},
        {"name": "single", "type": ["null", "float"]},
        {"name": "many", "type": ["null", {"type": "array", "items": ["null", "double"]}]},
        {"name": "kind", "type": ["null", {"type": "enum", "name": "Kind", "symbols": ["a", "be", "b"]}]},
        {
            "name": "deep",
            "type": {
                "type": "array",
                "items": [
                    "null",
                    {
                        "type": "record",
                        "name": "Inner",
                        "fields": [
                            {
                                "name": "texts",
                                "type": {"type": "array", "items": {"type": "array", "items": "string"}},
                            },
                            {"name": "count", "type": "long"},
                        ],
                    },
                ],
            },
        },
    ],
}

inner = st.fixed_dictionaries(
    {
        "texts": st.lists(st.lists(st.text(max_size=3), max_size=3), max_size=3),
        "count": st.integers(-(2**63), 2**63 - 1),
    }
)
every_type = st.fixed_dictionaries(
    {
        "flag": st.booleans(),
        "no_flag": st.none() | st.booleans(),
        "number": st.integers(-(2**31), 2**31 - 1),
        "single": st.none() | st.floats(width=32),
        "many": st.none() | st.lists(st.none() | st.floats(), max_size=3),
        "kind": st.none() | st.sampled_from(["a", "be", "b"]),
        "deep": st.lists(st.none() | inner, max_size=3),
    }
)


@given(st.lists(every_type, max_size=20), st.integers(0, 3))
def test_any_row_of_any_type_has_the_bytes_that_another_library_gives_it(
    rows: list[dict[str, Any]], skipped: int
) -> None:
    text = json.dumps(EVERY_TYPE)
    batch = pa.RecordBatch.from_pylist(rows, arrow_schema(parse_record(text))).slice(skipped)
    expected = [write_value(SchemaId(7), text, row) for row in rows[skipped:]]
    assert Encoder(text, SchemaId(7)).encode(batch) == expected
