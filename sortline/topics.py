"""`sortline topics apply`: creates or checks every topic, and registers the schemas with their compatibility."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from schemas.errors import SetupError
from schemas.topics import DEFAULT_PARTITIONS, TopicContract, TopicNames, contracts, same_policy
from schemas.wire import SchemaId
from sortline.options import BootstrapOption, RegistryOption, TopicPrefixOption

if TYPE_CHECKING:
    from schemas.registry import SchemaRegistry
    from sortline.topic_admin import ExistingTopic

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
    bootstrap: BootstrapOption = None,
    registry: RegistryOption = None,
    topic_prefix: TopicPrefixOption = None,
) -> None:
    """Create the topics that are missing, check those there are, and register the schemas.

    Safe to repeat: a second run changes nothing. A topic that differs is
    reported with what to do, and the exit code is 2.

    Examples:
      sortline topics apply
      sortline topics apply --partitions 12 --replication 3 --topic-prefix staging.
    """
    from schemas.registry import ConfluentRegistry
    from sortline.console import Column, LineTable, output, warn
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
    differing = [report for report in reports if report.action == "differs"]
    for report in differing:
        warn(report.problem)
    if differing:
        raise SetupError(
            f"{len(differing)} of {len(reports)} topics differ from what is wanted, and were left as they are"
        )


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
    from schemas.avro_files import load_schema
    from sortline.topic_admin import ExistingTopic, TopicAdmin

    wanted = contracts(names)
    admin = TopicAdmin(bootstrap)
    existing = admin.existing([contract.topic for contract in wanted])
    missing = [contract for contract in wanted if contract.topic not in existing]
    admin.create(missing, partitions=partitions, replication=replication)
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
                admin.set_cleanup_policy(contract)
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
