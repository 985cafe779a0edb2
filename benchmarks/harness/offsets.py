"""Where topics end, and how far a group has committed."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

Ends = dict[tuple[str, int], int]


class Offsets:
    """Asks a broker; one connection for all questions."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 4})  # warnings

    def ends(self, topics: Sequence[str]) -> Ends:
        """Return the end of each partition, records of open transactions included."""
        metadata = self._admin.list_topics(timeout=30)
        asked: dict[TopicPartition, OffsetSpec] = {
            TopicPartition(topic, partition): OffsetSpec.latest()
            for topic in topics
            for partition in metadata.topics[topic].partitions
        }
        answers = self._admin.list_offsets(asked, isolation_level=IsolationLevel.READ_UNCOMMITTED)
        return {
            # The stubs do not know what the answer holds.
            (place.topic, place.partition): future.result(30).offset  # type: ignore[attr-defined]  # as above
            for place, future in answers.items()
        }

    def committed(self, group: str) -> Ends:
        """Return what the group has committed; nothing of partitions without a commit."""
        (future,) = self._admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]).values()
        places = future.result(30).topic_partitions or []
        return {(place.topic, place.partition): place.offset for place in places if place.offset >= 0}

    def consumer(self, starts: Ends, **settings: str | int | bool) -> Consumer:
        """Return a read_committed consumer that stands at the given places."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "sortline-bench-reader",  # never joins and never commits
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                **settings,
            }
        )
        consumer.assign([TopicPartition(topic, partition, at) for (topic, partition), at in starts.items()])
        return consumer


def count(ends: Ends, starts: Ends) -> int:
    """Return how many offsets lie between; control records of transactions are among them.

    >>> count({("a", 0): 7, ("a", 1): 5}, {("a", 0): 4, ("a", 1): 5})
    3
    """
    return sum(ends.values()) - sum(starts.values())
