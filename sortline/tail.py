"""`sortline tail`: readable events of one topic, as they arrive."""

from __future__ import annotations

from typing import Annotated

import typer

from schemas.errors import SetupError
from schemas.topics import TopicContract, TopicNames, contracts
from sortline.options import BootstrapOption, RegistryOption, TopicPrefixOption


def tail(
    *,
    topic: Annotated[
        str,
        typer.Option(
            "--topic",
            help="created, categorized, review, dlq or catalog, or the topic's full name.",
            show_default=True,
        ),
    ] = "categorized",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Stop after so many records.")] = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Start with the oldest record instead of from now on.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, with headers and offsets.")
    ] = False,
    bootstrap: BootstrapOption = None,
    registry: RegistryOption = None,
    topic_prefix: TopicPrefixOption = None,
) -> None:
    """Show the events of a topic as they arrive; Ctrl-C ends it.

    Nothing is committed, so that it never takes records away from a worker.
    Dead letters show where they came from and why; withdrawn products show as
    tombstones. Decisions show under "new" what the model had not seen in
    training: b, the brand; s, the seller; and the share of the text.

    Examples:
      sortline tail
      sortline tail --topic review --from-beginning --limit 20
      sortline tail --topic dlq --json | jq .problem
    """
    from contextlib import closing

    from schemas.registry import ConfluentRegistry
    from sortline.console import LineTable, output
    from sortline.settings import read_settings
    from sortline.topic_reader import TopicReader
    from sortline.topic_rows import COLUMNS, RowDecoder, cells, json_line

    settings = read_settings(bootstrap=bootstrap, registry_url=registry, topic_prefix=topic_prefix)
    contract = find_contract(topic, settings.topics)
    table = LineTable(COLUMNS[contract.schema], output())
    shown = 0
    with (
        closing(ConfluentRegistry(settings.registry_url)) as schemas,
        TopicReader([contract.topic], bootstrap=settings.bootstrap, from_beginning=from_beginning) as reader,
    ):
        decoder = RowDecoder(contract, schemas)
        while limit is None or shown < limit:
            for row in decoder.decode(reader.poll())[: None if limit is None else limit - shown]:
                shown += 1
                if as_json:
                    typer.echo(json_line(row))
                else:
                    table.row(*cells(row, contract.schema))


def find_contract(topic: str, names: TopicNames) -> TopicContract:
    """Return the contract of a topic, given by its role ("review", "dlq") or its full name.

    Raises SetupError that lists the topics there are.
    """
    of_topic = {contract.topic: contract for contract in contracts(names)}
    roles = {
        "created": names.created,
        "categorized": names.categorized,
        "review": names.review,
        "dlq": names.dead_letters,
        "catalog": names.catalog,
    }
    found = of_topic.get(roles.get(topic, topic))
    if found is None:
        known = ", ".join(f"{role} ({name})" for role, name in roles.items())
        raise SetupError(f"option --topic: there is no {topic}; the topics are {known}")
    return found
