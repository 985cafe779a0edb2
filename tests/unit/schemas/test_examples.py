from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pyarrow as pa
import pytest

from schemas import columns
from schemas.arrow_types import arrow_schema
from schemas.avro_files import load_examples, load_schema
from schemas.avro_types import parse_record
from schemas.topics import TopicNames, contracts
from schemas.validation import check_labels, check_products
from tests.unit.schemas.avro_oracle import read_value, write_value
from tests.unit.schemas.batches import rows_of
from tests.unit.schemas.conftest import COLUMNS, Subject

every_schema = pytest.mark.parametrize("stem", COLUMNS)


def complete(example: dict[str, Any], stem: str) -> dict[str, Any]:
    """The example with its absent fields as null."""
    return dict.fromkeys(COLUMNS[stem].names) | example


@every_schema
def test_every_example_is_encoded_as_fastavro_does_and_decoded_to_what_it_was(
    subject: Callable[[str], Subject], stem: str
) -> None:
    our = subject(stem)
    examples = load_examples(stem)
    assert len(examples) >= 6
    values = our.encoder.encode(our.batch(examples))
    assert values == [write_value(our.schema_id, our.text, example) for example in examples]
    decoded = our.decoder.decode(values)
    assert decoded.rejected == ()
    assert rows_of(decoded.batch) == [complete(example, stem) for example in examples]
    assert [read_value(value, {our.schema_id: our.text}, our.text) for value in values] == rows_of(decoded.batch)


@pytest.mark.parametrize("stem", ["product_created", "labelled_product"])
def test_every_example_is_a_valid_product(subject: Callable[[str], Subject], stem: str) -> None:
    batch = subject(stem).batch(load_examples(stem))
    assert check_products(batch, batch.column("product_id").cast(pa.binary()).to_pylist()) == ()
    if stem == "labelled_product":
        assert check_labels(batch) == ()


@every_schema
def test_the_columns_mirror_the_schema(stem: str) -> None:
    mirror = arrow_schema(parse_record(load_schema(stem)))
    ours = COLUMNS[stem]
    assert mirror.names == ours.names
    for expected, field in zip(mirror, ours, strict=True):
        assert field.nullable == expected.nullable
        if field.name != "alternatives":  # its inner fields are declared nullable, which costs nothing
            assert field.type == expected.type


def test_the_labelled_product_is_the_product_and_its_category() -> None:
    created, labelled = (parse_record(load_schema(stem)) for stem in ("product_created", "labelled_product"))
    assert labelled.fields[:-1] == created.fields
    assert columns.LABELLED_PRODUCT.names[:-1] == columns.PRODUCT.names


def test_every_topic_with_a_schema_has_its_file_and_examples() -> None:
    stems = {contract.schema for contract in contracts(TopicNames()) if contract.schema}
    assert stems == set(COLUMNS)
    assert {file.name for file in files("schemas").joinpath("avro").iterdir()} == {
        f"{stem}.avsc" for stem in stems
    }
    assert {file.name for file in files("schemas").joinpath("examples").iterdir()} == {
        f"{stem}.jsonl" for stem in stems
    }
