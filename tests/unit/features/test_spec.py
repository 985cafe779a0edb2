from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

import features.spec
from features.spec import FeatureSpec, TextBlock, classic_spec, text_spec
from schemas.errors import BundleError, SetupError

EDGES = (9.99, 49.5, 100.0, 1e6)


@pytest.mark.parametrize("spec", [classic_spec(()), classic_spec(EDGES), text_spec(EDGES)])
def test_a_spec_survives_json(spec: FeatureSpec) -> None:
    read = FeatureSpec.from_json(json.loads(json.dumps(spec.to_json())))

    assert read == spec
    assert read.fingerprint == spec.fingerprint


def test_everything_in_a_spec_changes_the_fingerprint() -> None:
    spec = text_spec(EDGES)
    others = [
        replace(spec, profile="classic"),
        replace(spec, hash_bits=17),
        replace(spec, blocks=spec.blocks[:-1]),
        replace(spec, blocks=spec.blocks[::-1]),
        replace(spec, dense=spec.dense[::-1]),
        replace(spec, categorical_buckets=999),
        replace(spec, price_edges=(9.990000000000002, *EDGES[1:])),
    ]

    assert len({spec.fingerprint, *(other.fingerprint for other in others)}) == 8


def test_another_algorithm_or_other_tables_change_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    before = text_spec(EDGES).fingerprint

    with monkeypatch.context() as patch:
        patch.setattr(features.spec, "ALGORITHM_VERSION", features.ALGORITHM_VERSION + 1)
        other_algorithm = text_spec(EDGES).fingerprint
    monkeypatch.setattr(features.spec, "tables_digest", lambda: "0" * 64)

    assert len({before, other_algorithm, text_spec(EDGES).fingerprint}) == 3


def test_the_default_specs_are_those_of_the_contract() -> None:
    assert [(b.name, b.shortest, b.longest) for b in text_spec(()).blocks] == [
        ("title/word", 1, 2),
        ("title/char", 2, 4),
        ("description/word", 1, 2),
        ("brand/word", 1, 2),
        ("subcategory/word", 1, 2),
        ("seller_id/word", 1, 1),
    ]
    assert text_spec(()).n_buckets == 2**18
    assert classic_spec(()).blocks == ()
    assert classic_spec(()).dense == text_spec(()).dense
    assert classic_spec(()).dense_width == 19


def _changed(**fields: object) -> dict[str, Any]:
    return text_spec(EDGES).to_json() | fields


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ([], "not a JSON object"),
        (_changed(colour="red"), "the field 'colour', which this version does not know"),
        ({"profile": "text"}, "lacks the field"),
        (_changed(profile="images"), "profile is 'images'"),
        (_changed(hash_bits="18"), "hash_bits is '18'"),
        (_changed(hash_bits=True), "hash_bits is True"),
        (_changed(hash_bits=31), "hash_bits is 31"),
        (_changed(categorical_buckets=0), "categorical_buckets is 0"),
        (_changed(blocks=[{"field": "title"}]), "A text block lacks the field 'kind'"),
        (_changed(blocks=[{"field": "title", "kind": "line", "shortest": 1, "longest": 1}]), "kind 'line'"),
        (_changed(blocks=[{"field": "colour", "kind": "word", "shortest": 1, "longest": 1}]), "field 'colour'"),
        (_changed(blocks=[{"field": "title", "kind": "word", "shortest": 2, "longest": 1}]), "from 2 to 1"),
        (_changed(dense=["price", "colour"]), "dense feature 'colour'"),
        (_changed(dense=["price", "price"]), "named twice"),
        (_changed(dense="price"), "dense is not a list"),
        (_changed(dense=[1]), "dense holds 1"),
        (_changed(price_edges=[1, "2"]), "price edge '2'"),
        (_changed(price_edges=[2.0, 1.0]), "do not ascend"),
        (_changed(price_edges=[1.0, 1.0]), "do not ascend"),
        (_changed(price_edges=[float("inf")]), "not a finite number"),
    ],
)
def test_a_document_that_no_spec_gave_is_refused_in_words(document: object, sentence: str) -> None:
    with pytest.raises(BundleError, match=sentence):
        FeatureSpec.from_json(document)


def test_a_wrong_spec_in_code_is_refused_in_words() -> None:
    with pytest.raises(SetupError, match="from 0 to 1"):
        TextBlock(field="title", kind="word", shortest=0, longest=1)
    with pytest.raises(SetupError, match="do not ascend"):
        classic_spec((2.0, 1.0))
