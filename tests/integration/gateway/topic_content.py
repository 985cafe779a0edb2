"""What is in a topic now, all of it."""

from __future__ import annotations

from confluent_kafka import OFFSET_BEGINNING, KafkaError, TopicPartition

from sortline.broker import TO_THE_END, open_reader, topic_partitions
from sortline.topic_reader import TopicRecord, topic_record


def topic_content(bootstrap: str, topic: str) -> list[TopicRecord]:
    """Return every record of a topic, up to its present end, oldest first within a partition."""
    consumer = open_reader(bootstrap, "test-content", TO_THE_END)
    try:
        partitions = topic_partitions(consumer, [topic], bootstrap=bootstrap)[topic]
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
        records: list[TopicRecord] = []
        ended: set[int | None] = set()
        while len(ended) < len(partitions):
            for message in consumer.consume(1_000, 1.0):
                error = message.error()
                if error is None:
                    records.append(topic_record(message))
                elif error.code() == KafkaError._PARTITION_EOF:
                    ended.add(message.partition())
        return records
    finally:
        consumer.close()
