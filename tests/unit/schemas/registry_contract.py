"""What every registry must do; run on the one in memory, and on a real one where there is one."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from schemas.avro_files import load_schema
from schemas.errors import InvalidRecordError, SetupError
from schemas.registry import SchemaRegistry
from schemas.wire import SchemaId


def schema_with(*fields: dict[str, Any]) -> str:
    node = json.loads(load_schema("labelled_product"))
    return json.dumps(node | {"fields": node["fields"] + list(fields)})


def schema_without(name: str) -> str:
    node = json.loads(load_schema("labelled_product"))
    return json.dumps(node | {"fields": [field for field in node["fields"] if field["name"] != name]})


class RegistryContract:
    """Needs a fixture `registry`."""

    @pytest.fixture
    def subject(self) -> str:
        return f"contract-{uuid.uuid4().hex}-value"

    def test_a_schema_is_found_by_the_id_it_was_given(self, registry: SchemaRegistry, subject: str) -> None:
        text = load_schema("product_created")
        schema_id = registry.register(subject, text)
        assert json.loads(registry.schema_by_id(schema_id)) == json.loads(text)

    def test_the_same_schema_again_has_the_same_id(self, registry: SchemaRegistry, subject: str) -> None:
        text = load_schema("product_created")
        assert registry.register(subject, text) == registry.register(subject, text)

    def test_an_id_that_was_never_given_is_unknown(self, registry: SchemaRegistry) -> None:
        for number in (0, 1_999_999_999, 2**31 - 1):
            with pytest.raises(InvalidRecordError, match=f"schema id {number} is not known to the registry"):
                registry.schema_by_id(SchemaId(number))

    def test_a_subject_without_versions_has_no_latest(self, registry: SchemaRegistry, subject: str) -> None:
        assert registry.latest(subject) is None
        assert subject not in registry.subjects()

    def test_the_latest_version_is_the_one_registered_last(self, registry: SchemaRegistry, subject: str) -> None:
        first = registry.register(subject, load_schema("labelled_product"))
        assert registry.latest(subject) == first
        second = registry.register(subject, schema_with({"name": "colour", "type": "string", "default": ""}))
        assert first != second
        assert registry.latest(subject) == second
        assert subject in registry.subjects()
        assert registry.subjects() == sorted(registry.subjects())

    def test_a_subject_s_name_may_have_any_character(self, registry: SchemaRegistry, subject: str) -> None:
        odd = f"{subject} ä/?#%"
        schema_id = registry.register(odd, load_schema("product_created"))
        assert registry.latest(odd) == schema_id
        assert odd in registry.subjects()

    def test_under_full_transitive_every_version_must_read_every_other(
        self, registry: SchemaRegistry, subject: str
    ) -> None:
        registry.set_compatibility(subject, "FULL_TRANSITIVE")
        first = registry.register(subject, load_schema("labelled_product"))
        optional = {"name": "colour", "type": ["null", "string"], "default": None}
        registry.register(subject, schema_with(optional))
        refused = {
            "a field without default": schema_with({"name": "size", "type": "string"}),
            "a required field gone": schema_without("title"),
            "another type": load_schema("labelled_product").replace('["null", "double"]', '["null", "string"]'),
            "at odds with an earlier version only": schema_with({"name": "colour", "type": "long", "default": 0}),
        }
        for text in refused.values():
            with pytest.raises(SetupError, match=f"subject {subject} refuses the schema"):
                registry.register(subject, text)
        assert registry.register(subject, load_schema("labelled_product")) == first

    def test_without_compatibility_anything_goes(self, registry: SchemaRegistry, subject: str) -> None:
        registry.set_compatibility(subject, "NONE")
        first = registry.register(subject, load_schema("labelled_product"))
        assert registry.register(subject, schema_without("title")) != first

    def test_what_is_no_avro_is_refused(self, registry: SchemaRegistry, subject: str) -> None:
        with pytest.raises(SetupError, match="refuses the schema"):
            registry.register(subject, '{"type": "nonsense"}')
