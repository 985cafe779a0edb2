"""`sortline topics apply`: creates or checks every topic, and registers the schemas with their compatibility."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from schemas.errors import SetupError
from schemas.topics import DEFAULT_PARTITIONS, TopicContract, TopicNames, contracts
from schemas.wire import SchemaId

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import AdminClient

    from schemas.registry import SchemaRegistry

_ANSWER_SECONDS: Final = 15.0

app = typer.Typer(help="Create or check the topics, and register their schemas.", no_args_is_help=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicReport:
    """One topic as it is now, and what was done about it; `problem` is a sentence where it `differs`."""

    topic: str
    partitions: int
    cleanup_policy: str
    action: Literal["created", "unchanged", "changed", "differs"]
    schema_id: SchemaId | None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingTopic:
    """What a broker says of a topic."""

    partitions: int
    cleanup_policy: str


@app.callback()
def _topics() -> None:
    """Without a callback typer would make the only command the whole of the app."""


@app.command("apply")
def apply(
    *,
    partitions: Annotated[
        int, typer.Option("--partitions", min=1, help="Partitions of every topic.")
    ] = DEFAULT_PARTITIONS,
    replication: Annotated[
        int, typer.Option("--replication", min=1, help="Copies of each partition; 3 on a cluster.")
    ] = 1,
    fix: Annotated[
        bool, typer.Option("--fix", help="Set a cleanup policy that differs. Partitions are never changed.")
    ] = False,
    bootstrap: Annotated[str | None, typer.Option("--bootstrap", help="Kafka [SORTLINE_BOOTSTRAP].")] = None,
    registry: Annotated[
        str | None, typer.Option("--registry", help="Schema registry [SORTLINE_REGISTRY_URL].")
    ] = None,
    topic_prefix: Annotated[
        str | None, typer.Option("--topic-prefix", help="Prefix of the topics [SORTLINE_TOPIC_PREFIX].")
    ] = None,
) -> None:
    """Create the topics that are missing, check those there are, and register the schemas.

    Safe to repeat: a second run changes nothing. A topic that differs is
    reported with what to do, and the exit code is 2.

    Examples:
      sortline topics apply
      sortline topics apply --partitions 12 --replication 3 --topic-prefix staging.
    """
    from schemas.registry import ConfluentRegistry
    from sortline.console import Column, LineTable, output
    from sortline.settings import read_settings

    settings = read_settings(bootstrap=bootstrap, registry_url=registry, topic_prefix=topic_prefix)
    with contextlib.closing(ConfluentRegistry(settings.registry_url)) as client:
        reports = apply_topics(
            bootstrap=settings.bootstrap,
            registry=client,
            names=settings.topics,
            partitions=partitions,
            replication=replication,
            fix=fix,
        )
    width = max(len(report.topic) for report in reports)
    columns = [
        Column(name="topic", width=width),
        Column(name="partitions", width=10, justify="right"),
        Column(name="cleanup", width=14),
        Column(name="schema id", width=9, justify="right"),
        Column(name="action", width=9),
    ]
    table = LineTable(columns, output())
    for report in reports:
        schema_id = "-" if report.schema_id is None else str(report.schema_id)
        table.row(report.topic, str(report.partitions), report.cleanup_policy, schema_id, report.action)
    problems = [report.problem for report in reports if report.problem]
    if problems:
        raise SetupError("; ".join(problems))


def apply_topics(
    *,
    bootstrap: str,
    registry: SchemaRegistry,
    names: TopicNames,
    partitions: int = DEFAULT_PARTITIONS,
    replication: int = 1,
    fix: bool = False,
) -> tuple[TopicReport, ...]:
    """Create missing topics, check the others, register the schemas; one report a topic, in the contracts' order.

    Returns once the broker knows the new topics. Each subject's compatibility is set before its schema is
    registered, so that this very schema is held to it. With `fix` a different cleanup policy is set.

    Raises SetupError if a topic cannot be created or a subject refuses its schema, DependencyUnavailableError if
    the broker or the registry does not answer.
    """
    from confluent_kafka.admin import AdminClient

    from schemas.avro_files import load_schema

    wanted = contracts(names)
    # What the broker cannot be asked is told by the errors below; librdkafka would repeat it on stderr.
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0, "error_cb": lambda _: None})
    existing = _existing_topics(admin, [contract.topic for contract in wanted], bootstrap)
    missing = [contract for contract in wanted if contract.topic not in existing]
    _create(admin, missing, partitions=partitions, replication=replication)
    _await_topics(admin, [contract.topic for contract in missing], bootstrap)
    reports: list[TopicReport] = []
    for contract in wanted:
        schema_id = None
        if contract.schema is not None:
            if contract.compatibility is not None:
                registry.set_compatibility(contract.subject, contract.compatibility)
            schema_id = registry.register(contract.subject, load_schema(contract.schema))
        found = existing.get(contract.topic)
        if found is None:
            report = TopicReport(
                topic=contract.topic,
                partitions=partitions,
                cleanup_policy=contract.cleanup_policy,
                action="created",
                schema_id=schema_id,
            )
        else:
            report = check_topic(contract, found, partitions=partitions, schema_id=schema_id)
            if fix and not same_policy(found.cleanup_policy, contract.cleanup_policy):
                _set_cleanup_policy(admin, contract)
                fixed = ExistingTopic(partitions=found.partitions, cleanup_policy=contract.cleanup_policy)
                report = check_topic(contract, fixed, partitions=partitions, schema_id=schema_id, action="changed")
        reports.append(report)
    return tuple(reports)


def check_topic(
    contract: TopicContract,
    found: ExistingTopic,
    *,
    partitions: int,
    schema_id: SchemaId | None,
    action: Literal["unchanged", "changed"] = "unchanged",
) -> TopicReport:
    """Return the report of a topic that is there; `differs` with a sentence for each thing that does."""
    problems: list[str] = []
    if found.partitions != partitions:
        problems.append(
            f"topic {contract.topic} has {found.partitions} partitions, not {partitions}, and keys would move if "
            f"that changed: use --partitions {found.partitions}, another --topic-prefix, or delete the topic first"
        )
    if not same_policy(found.cleanup_policy, contract.cleanup_policy):
        problems.append(
            f"topic {contract.topic} has cleanup.policy={found.cleanup_policy}, not {contract.cleanup_policy}: "
            "use --fix to set it"
        )
    return TopicReport(
        topic=contract.topic,
        partitions=found.partitions,
        cleanup_policy=found.cleanup_policy,
        action="differs" if problems else action,
        schema_id=schema_id,
        problem="; ".join(problems),
    )


def same_policy(one: str, other: str) -> bool:
    """Tell whether two cleanup policies are the same, in whatever order a broker lists them.

    >>> same_policy("delete,compact", "compact,delete")
    True
    """
    return set(one.replace(" ", "").split(",")) == set(other.replace(" ", "").split(","))


def _existing_topics(admin: AdminClient, topics: Sequence[str], bootstrap: str) -> Mapping[str, ExistingTopic]:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import ConfigResource

    from sortline.broker import unavailable

    try:
        known = admin.list_topics(timeout=_ANSWER_SECONDS).topics
        there = [topic for topic in topics if topic in known]
        if not there:
            return {}
        resources = [ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in there]
        described = admin.describe_configs(resources, request_timeout=_ANSWER_SECONDS)
        return {
            resource.name: ExistingTopic(
                partitions=len(known[resource.name].partitions),
                cleanup_policy=str(configs.result()["cleanup.policy"].value),
            )
            for resource, configs in described.items()
        }
    except KafkaException as error:
        raise unavailable(bootstrap, error) from error


def _create(admin: AdminClient, missing: Sequence[TopicContract], *, partitions: int, replication: int) -> None:
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import NewTopic

    if not missing:
        return
    new = [
        NewTopic(
            contract.topic,
            num_partitions=partitions,
            replication_factor=replication,
            # Retention is left to the broker: how long a shop keeps its events is not for this program to say.
            config={"cleanup.policy": contract.cleanup_policy},
        )
        for contract in missing
    ]
    for topic, creation in admin.create_topics(new, request_timeout=_ANSWER_SECONDS).items():
        try:
            creation.result()
        except KafkaException as error:
            # Another run may create the same topics at this moment; the next run will check them.
            if _kafka_error(error).code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise SetupError(f"topic {topic} cannot be created: {_kafka_error(error).str()}") from error


def _await_topics(admin: AdminClient, topics: Sequence[str], bootstrap: str) -> None:
    """Return once the broker lists the topics, each with its leaders: creation alone does not promise that."""
    from confluent_kafka import KafkaException

    from schemas.errors import DependencyUnavailableError
    from sortline.broker import unavailable

    deadline = time.monotonic() + _ANSWER_SECONDS
    while topics:
        try:
            known = admin.list_topics(timeout=_ANSWER_SECONDS).topics
        except KafkaException as error:
            raise unavailable(bootstrap, error) from error
        topics = [
            topic
            for topic in topics
            if topic not in known or any(part.leader < 0 for part in known[topic].partitions.values())
        ]
        if topics and time.monotonic() > deadline:
            raise DependencyUnavailableError(f"topic {topics[0]} was created but has no leader yet: try again")
        if topics:
            time.sleep(0.05)


def _set_cleanup_policy(admin: AdminClient, contract: TopicContract) -> None:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource

    entry = ConfigEntry("cleanup.policy", contract.cleanup_policy, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, contract.topic, incremental_configs=[entry])
    for alteration in admin.incremental_alter_configs([resource], request_timeout=_ANSWER_SECONDS).values():
        try:
            alteration.result()
        except KafkaException as error:
            raise SetupError(
                f"topic {contract.topic} refuses its cleanup policy: {_kafka_error(error).str()}"
            ) from error


def _kafka_error(error: KafkaException) -> KafkaError:
    found = error.args[0]
    assert not isinstance(found, str)  # the type allows both; the client always gives the error
    return found
