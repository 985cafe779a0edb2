from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource

from schemas.avro_files import load_schema
from schemas.errors import SetupError
from schemas.registry import ConfluentRegistry
from schemas.topics import TopicNames, contracts
from sortline.topics import apply_topics
from tests.topic_configs import set_topic_config

pytestmark = pytest.mark.integration


@pytest.fixture
def registry(registry_url: str) -> Iterator[ConfluentRegistry]:
    registry = ConfluentRegistry(registry_url)
    yield registry
    registry.close()


def test_topics_that_are_there_are_left_unchanged(
    bootstrap: str, registry: ConfluentRegistry, topics: TopicNames
) -> None:
    reports = apply_topics(bootstrap=bootstrap, registry=registry, names=topics, partitions=3)
    again = apply_topics(bootstrap=bootstrap, registry=registry, names=topics, partitions=3)
    assert again == reports
    assert {report.action for report in reports} == {"unchanged"}
    assert [report.topic for report in reports] == [contract.topic for contract in contracts(topics)]


def test_every_topic_gets_its_partitions_policy_and_schema(bootstrap: str, registry: ConfluentRegistry) -> None:
    names = TopicNames.with_prefix(f"new{uuid.uuid4().hex[:8]}.")
    reports = {
        report.topic: report
        for report in apply_topics(bootstrap=bootstrap, registry=registry, names=names, partitions=2)
    }
    admin = AdminClient({"bootstrap.servers": bootstrap})
    known = admin.list_topics(timeout=10).topics
    for contract in contracts(names):
        configs = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, contract.topic)])
        (described,) = configs.values()
        policy = described.result()["cleanup.policy"].value
        if contract.max_message_bytes is not None:
            assert described.result()["max.message.bytes"].value == str(contract.max_message_bytes)
        assert set(str(policy).split(",")) == set(contract.cleanup_policy.split(","))
        assert len(known[contract.topic].partitions) == 2
        assert reports[contract.topic].action == "created"
        assert reports[contract.topic].schema_id == registry.latest(contract.subject)
    assert reports[names.dead_letters].schema_id is None
    (letters,) = [contract for contract in contracts(names) if contract.topic == names.dead_letters]
    assert letters.max_message_bytes is not None, "a dead letter is larger than its original"
    assert reports[names.created].schema_id is not None


def test_a_topic_with_other_partitions_is_reported_and_not_touched(
    bootstrap: str, registry: ConfluentRegistry, topics: TopicNames
) -> None:
    reports = apply_topics(bootstrap=bootstrap, registry=registry, names=topics, partitions=4)
    assert {report.action for report in reports} == {"differs"}
    assert all(f"use --partitions {report.partitions}" in report.problem for report in reports)
    known = AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=10).topics
    assert {len(known[report.topic].partitions) for report in reports} == {3}


def test_another_cleanup_policy_is_reported_and_set_when_asked(
    bootstrap: str, registry: ConfluentRegistry, topics: TopicNames
) -> None:
    set_topic_config(bootstrap, topics.catalog, "cleanup.policy", "delete")
    found = {
        report.topic: report
        for report in apply_topics(bootstrap=bootstrap, registry=registry, names=topics, partitions=3)
    }
    assert found[topics.catalog].action == "differs"
    assert "cleanup.policy=delete, not compact" in found[topics.catalog].problem

    fixed = {
        report.topic: report
        for report in apply_topics(bootstrap=bootstrap, registry=registry, names=topics, partitions=3, fix=True)
    }
    assert fixed[topics.catalog].action == "changed"
    after = apply_topics(bootstrap=bootstrap, registry=registry, names=topics, partitions=3)
    assert {report.action for report in after} == {"unchanged"}


def test_a_subject_holds_every_later_schema_to_its_compatibility(
    registry: ConfluentRegistry, topics: TopicNames
) -> None:
    schema = json.loads(load_schema("labelled_product"))
    schema["fields"] = [field for field in schema["fields"] if field["name"] != "title"]
    subject = next(contract.subject for contract in contracts(topics) if contract.topic == topics.catalog)
    with pytest.raises(SetupError, match=subject):
        registry.register(subject, json.dumps(schema))


def test_a_schema_that_the_subject_refuses_stops_the_command(bootstrap: str, registry: ConfluentRegistry) -> None:
    names = TopicNames.with_prefix(f"old{uuid.uuid4().hex[:8]}.")
    other = {"type": "record", "name": "ProductCreated", "fields": [{"name": "sku", "type": "long"}]}
    registry.register(f"{names.created}-value", json.dumps(other))
    with pytest.raises(SetupError, match=f"{names.created}-value refuses the schema"):
        apply_topics(bootstrap=bootstrap, registry=registry, names=names, partitions=1)
