from __future__ import annotations

import pytest

from schemas.topics import TopicNames, contracts, same_policy
from schemas.wire import SchemaId
from sortline.topic_admin import ExistingTopic
from sortline.topics import check_topic

CATEGORIZED = next(contract for contract in contracts(TopicNames()) if contract.topic == "products.categorized")


def test_a_topic_as_the_contract_wants_it_is_unchanged() -> None:
    found = ExistingTopic(partitions=6, cleanup_policy="delete,compact")  # brokers list in any order
    report = check_topic(CATEGORIZED, found, partitions=6, schema_id=SchemaId(7))
    assert report.action == "unchanged"
    assert report.problem == ""
    assert report.schema_id == 7


def test_each_difference_is_told_with_what_to_do() -> None:
    found = ExistingTopic(partitions=3, cleanup_policy="delete")
    report = check_topic(CATEGORIZED, found, partitions=6, schema_id=None)
    assert report.action == "differs"
    assert report.partitions == 3
    assert "has 3 partitions, not 6" in report.problem
    assert "use --partitions 3" in report.problem
    assert "cleanup.policy=delete, not compact,delete: use --fix" in report.problem


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("compact", "compact", True),
        ("compact,delete", "delete, compact", True),
        ("compact", "compact,delete", False),
        ("delete", "compact", False),
    ],
)
def test_cleanup_policies_are_sets(one: str, other: str, same: bool) -> None:
    assert same_policy(one, other) is same
