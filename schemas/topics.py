"""The topics and their contract: partitions, cleanup policy and schema of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Compatibility = Literal["FULL_TRANSITIVE", "BACKWARD", "FULL", "NONE"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicNames:
    """The names of the topics; tests and parallel environments use a prefix."""

    created: str = "products.created"
    categorized: str = "products.categorized"
    review: str = "products.review"
    dead_letters: str = "products.created.dlq"
    replayed: str = "products.created.dlq.replayed"
    catalog: str = "products.catalog"
    swaps: str = "model-swaps"
    announced: str = "models.announced"

    @classmethod
    def with_prefix(cls, prefix: str) -> TopicNames:
        """Give every topic the same prefix, such as `staging.`."""
        plain = cls()
        return cls(
            created=prefix + plain.created,
            categorized=prefix + plain.categorized,
            review=prefix + plain.review,
            dead_letters=prefix + plain.dead_letters,
            replayed=prefix + plain.replayed,
            catalog=prefix + plain.catalog,
            swaps=prefix + plain.swaps,
            announced=prefix + plain.announced,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicContract:
    """What must hold of one topic.

    `schema` is the stem of a file in `schemas/avro`, or None where values are kept byte for byte. The subject is
    `<topic>-value` (TopicNameStrategy). `max_message_bytes` is given to a topic when it is created; None leaves it
    to the broker.
    """

    topic: str
    cleanup_policy: Literal["delete", "compact", "compact,delete"]
    schema: str | None
    compatibility: Compatibility | None = None
    max_message_bytes: int | None = None

    @property
    def subject(self) -> str:
        """The registry's subject of the topic's values."""
        return f"{self.topic}-value"


def contracts(names: TopicNames) -> tuple[TopicContract, ...]:
    """Return the contract of every topic, inputs first.

    Everything that training replays is FULL_TRANSITIVE: years of records must stay readable by any version of the
    code, and new records by old code. So is what subscribers keep.
    """
    return (
        TopicContract(
            topic=names.created,
            cleanup_policy="delete",
            schema="product_created",
            compatibility="FULL_TRANSITIVE",
        ),
        TopicContract(
            topic=names.catalog,
            cleanup_policy="compact",
            schema="labelled_product",
            compatibility="FULL_TRANSITIVE",
        ),
        TopicContract(
            topic=names.categorized,
            cleanup_policy="compact,delete",
            schema="product_categorized",
            compatibility="FULL_TRANSITIVE",
        ),
        TopicContract(
            topic=names.review,
            cleanup_policy="delete",
            schema="product_categorized",
            compatibility="FULL_TRANSITIVE",
        ),
        TopicContract(
            topic=names.dead_letters,
            cleanup_policy="delete",
            schema=None,
            # The largest record that the input takes by default (1 MiB) and what is said of it in headers.
            max_message_bytes=2 << 20,
        ),
        # Only compacted: a mark that went before its letter would let the letter be replayed again.
        TopicContract(topic=names.replayed, cleanup_policy="compact", schema=None),
        # Not compacted: which model an old event was classified by is told by an old record.
        TopicContract(
            topic=names.swaps, cleanup_policy="delete", schema="model_swap", compatibility="FULL_TRANSITIVE"
        ),
        TopicContract(
            topic=names.announced,
            cleanup_policy="compact",
            schema="model_announced",
            compatibility="FULL_TRANSITIVE",
        ),
    )


DEFAULT_PARTITIONS: Final = 6


def same_policy(one: str, other: str) -> bool:
    """Tell whether two cleanup policies are the same, in whatever order a broker lists them.

    >>> same_policy("delete,compact", "compact,delete")
    True
    """
    return set(one.replace(" ", "").split(",")) == set(other.replace(" ", "").split(","))
