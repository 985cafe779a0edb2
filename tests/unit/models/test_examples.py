"""Example records of the subjects that hold products, from wire bytes to decision; and examples in docstrings."""

from __future__ import annotations

import doctest
import importlib

import numpy as np
import pyarrow as pa
import pytest

from models.classifier import Classifier
from schemas import columns
from schemas.avro_files import load_examples, load_schema
from schemas.decoding import Decoder
from schemas.encoding import Encoder
from schemas.registry import InMemoryRegistry


@pytest.mark.parametrize(
    ("stem", "schema"),
    [("product_created", columns.PRODUCT), ("labelled_product", columns.LABELLED_PRODUCT)],
)
def test_every_example_product_is_decoded_and_decided(
    stem: str, schema: pa.Schema, classifier: Classifier
) -> None:
    registry = InMemoryRegistry()
    text = load_schema(stem)
    examples = load_examples(stem)
    values = Encoder(text, registry.register(f"{stem}-value", text)).encode(
        pa.RecordBatch.from_pylist(examples, schema)
    )
    decoded = Decoder(registry, text, schema).decode(values)
    assert not decoded.rejected
    decisions = classifier.classify(decoded.batch)
    decisions.validate(full=True)
    assert decisions["product_id"].to_pylist() == [example["product_id"] for example in examples]
    confidences = decisions["confidence"].to_numpy()
    assert ((confidences > 0) & (confidences <= 1)).all()
    assert np.array_equal(
        confidences >= classifier.thresholds.pooled, [d != "review" for d in decisions["decision"].to_pylist()]
    )


@pytest.mark.parametrize("name", ["manifest", "seen_hashes", "taxonomy", "thresholds"])
def test_the_examples_in_the_docstrings_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"models.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
