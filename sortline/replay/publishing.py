"""Writes decisions that were made again, with the keys, values and headers that the stream would give them."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import Producer

from schemas.errors import SetupError, SortlineError
from schemas.topics import TopicNames, contracts
from sortline.broker import topic_partitions
from sortline.product_producer import Deliveries, flush_all, hand_over, open_producer
from streams.records import Output
from streams.routing import by_key
from streams.slices import SliceOutputs


class Publisher:
    """Sends the outputs of slices to one topic; `close` waits for them.

    Decisions, those for a person among them, and withdrawals go to the topic that is given; if that is the live
    topic of categorized products, those for a person go to the live review topic, as ever. Dead letters are not
    sent. An output goes to the partition of its input if there are equally many, otherwise where its key belongs.

    Raises SetupError if there is no such topic, or it must not be written to; DependencyUnavailableError if Kafka
    does not answer.
    """

    def __init__(self, bootstrap: str, names: TopicNames, to: str) -> None:
        self._topics = {"categorized": to, "review": names.review if to == names.categorized else to}
        self._producer: Producer = open_producer(bootstrap)
        wanted = [names.created, *self._topics.values()]
        partitions = topic_partitions(self._producer, wanted, bootstrap=bootstrap)
        self._n_partitions = {topic: len(there) for topic, there in partitions.items()}
        self._n_inputs = self._n_partitions[names.created]
        self._deliveries = Deliveries()

    def send(self, outputs: SliceOutputs) -> None:
        """Hand the outputs of a slice over, in their order."""
        self._send(self._topics["categorized"], outputs.categorized)
        self._send(self._topics["review"], outputs.review)

    def close(self) -> int:
        """Wait until all is delivered, and return how many there were.

        Raises SortlineError if some were not: how many, and what the broker said of one.
        """
        flush_all(self._producer, self._deliveries)
        if self._deliveries.failed:
            ((reason, _), *_) = self._deliveries.failures.most_common(1)
            raise SortlineError(
                f"{self._deliveries.failed:,} of the decisions were not delivered ({reason}), "
                f"{self._deliveries.delivered:,} were: run it again, readers know repetitions by their ce_id"
            )
        return self._deliveries.delivered

    def _send(self, topic: str, outputs: Sequence[Output]) -> None:
        n_partitions = self._n_partitions[topic]
        if n_partitions == self._n_inputs:
            for output in outputs:
                self._hand_over(topic, output.record.partition, output)
        else:
            for partition, some in by_key(outputs, n_partitions).items():
                for output in some:
                    self._hand_over(topic, partition, output)
        self._producer.poll(0)

    def _hand_over(self, topic: str, partition: int, output: Output) -> None:
        hand_over(
            self._producer,
            topic,
            output.key,
            output.value,
            output.headers,
            self._deliveries,
            partition=partition,
            timestamp=output.timestamp_ms,
        )


def check_target(to: str, names: TopicNames, *, allow_live: bool) -> None:
    """Raise SetupError if decisions must not be written to the topic.

    Only the live topic of categorized products may be written to of the product's own topics, and only if
    `allow_live` says so: its subscribers take what comes for the truth.
    """
    if to == names.categorized:
        if not allow_live:
            raise SetupError(
                f"option --to: {to} is the live topic, and its subscribers would act on these decisions: "
                "give another topic, or --allow-live if that is what you want"
            )
    elif to in {contract.topic for contract in contracts(names)}:
        raise SetupError(f"option --to: {to} has another purpose: give a topic of your own for decisions")
