"""What `topics apply` asks of a broker and has it do; every failure is one sentence."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic

from schemas.errors import DependencyUnavailableError, SetupError
from schemas.topics import TopicContract, same_policy
from sortline.broker import ANSWER_SECONDS, unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingTopic:
    """What a broker says of a topic."""

    partitions: int
    cleanup_policy: str


class TopicAdmin:
    """The topics of one broker; every method may block for some ten seconds."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        # What the broker refuses is told by the errors below; librdkafka would repeat it on stderr.
        self._client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0, "error_cb": lambda _: None})

    def existing(self, topics: Sequence[str]) -> Mapping[str, ExistingTopic]:
        """Return those of the topics that are there.

        Raises DependencyUnavailableError if the broker does not answer.
        """
        try:
            known = self._client.list_topics(timeout=ANSWER_SECONDS).topics
            there = [topic for topic in topics if topic in known]
            if not there:
                return {}
            resources = [ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in there]
            described = self._client.describe_configs(resources, request_timeout=ANSWER_SECONDS)
            return {
                resource.name: ExistingTopic(
                    partitions=len(known[resource.name].partitions),
                    cleanup_policy=str(configs.result()["cleanup.policy"].value),
                )
                for resource, configs in described.items()
            }
        except KafkaException as error:
            raise unavailable(self._bootstrap, error) from error

    def create(self, contracts: Sequence[TopicContract], *, partitions: int, replication: int) -> None:
        """Create the topics and return once the broker lists each with its leaders.

        Raises SetupError if the broker refuses one, DependencyUnavailableError if they do not appear.
        """
        if not contracts:
            return
        new = [
            NewTopic(
                contract.topic,
                num_partitions=partitions,
                replication_factor=replication,
                # Retention is left to the broker: how long a shop keeps its events is not for this program to say.
                config=_config(contract),
            )
            for contract in contracts
        ]
        for topic, creation in self._client.create_topics(new, request_timeout=ANSWER_SECONDS).items():
            try:
                creation.result()
            except KafkaException as error:
                # Another run may create the same topics at this moment; the next run will check them.
                if _cause(error).code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise SetupError(f"topic {topic} cannot be created: {_cause(error).str()}") from error
        self._await([contract.topic for contract in contracts])

    def set_cleanup_policy(self, contract: TopicContract) -> None:
        """Give an existing topic the cleanup policy of its contract; return once the broker goes by it.

        Raises SetupError if the broker refuses, DependencyUnavailableError if it agrees and nothing changes.
        """
        entry = ConfigEntry("cleanup.policy", contract.cleanup_policy, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ConfigResource.Type.TOPIC, contract.topic, incremental_configs=[entry])
        altered = self._client.incremental_alter_configs([resource], request_timeout=ANSWER_SECONDS)
        for alteration in altered.values():
            try:
                alteration.result()
            except KafkaException as error:
                said = _cause(error).str()
                raise SetupError(f"topic {contract.topic} refuses its cleanup policy: {said}") from error
        deadline = time.monotonic() + ANSWER_SECONDS
        while not same_policy(
            self.existing([contract.topic])[contract.topic].cleanup_policy, contract.cleanup_policy
        ):
            if time.monotonic() > deadline:
                raise DependencyUnavailableError(
                    f"topic {contract.topic} was given its cleanup policy but does not have it yet: try again"
                )
            time.sleep(0.05)

    def _await(self, topics: Sequence[str]) -> None:
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                known = self._client.list_topics(timeout=ANSWER_SECONDS).topics
            except KafkaException as error:
                raise unavailable(self._bootstrap, error) from error
            topics = [
                topic
                for topic in topics
                if topic not in known or any(part.leader < 0 for part in known[topic].partitions.values())
            ]
            if not topics:
                return
            if time.monotonic() > deadline:
                raise DependencyUnavailableError(f"topic {topics[0]} was created but has no leader yet: try again")
            time.sleep(0.05)


def _config(contract: TopicContract) -> dict[str, str]:
    config: dict[str, str] = {"cleanup.policy": contract.cleanup_policy}
    if contract.max_message_bytes is not None:
        config["max.message.bytes"] = str(contract.max_message_bytes)
    return config


def _cause(error: KafkaException) -> KafkaError:
    found = error.args[0]
    assert not isinstance(found, str)  # the type allows both; the client always gives the error
    return found
