"""`sortline explain-event`: where one decision came from, and whether it comes out the same again."""

from __future__ import annotations

from typing import Annotated

import typer

from sortline.options import BootstrapOption, RegistryOption, TopicPrefixOption, TrackingUriOption


def explain_event(
    *,
    topic: Annotated[
        str, typer.Option("--topic", help="categorized or review, or the topic's full name.", show_default=True)
    ] = "categorized",
    partition: Annotated[int, typer.Option("--partition", min=0, help="Of the event.")],
    offset: Annotated[int, typer.Option("--offset", min=0, help="Of the event.")],
    model: Annotated[
        str | None,
        typer.Option(
            "--model", help="Bundle folder or models:/name/version to decide with; by default, MLflow is asked."
        ),
    ] = None,
    tracking_uri: TrackingUriOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything as one JSON document.")] = False,
    bootstrap: BootstrapOption = None,
    registry: RegistryOption = None,
    topic_prefix: TopicPrefixOption = None,
) -> None:
    """Tell the chain behind a published event, and decide again.

    From the event to its input, to the model version that decided, its
    features, the snapshot it was trained on, and the code. Then the decision is
    made once more, by the code of the stream, from the input and with that
    model, and compared byte for byte with what was published. Only the time of
    the decision is taken from the event. Nothing is written anywhere.

    Exit code 0: the same. 1: it differs, or something of it is not there any
    more.

    Examples:
      sortline explain-event --partition 0 --offset 1234
      sortline explain-event --topic review --partition 2 --offset 7 --model bundles/first --json
    """
    from contextlib import closing

    from schemas.errors import SetupError
    from schemas.printable import printable
    from schemas.registry import ConfluentRegistry
    from schemas.topics import contracts
    from sortline.console import output
    from sortline.explain.display import lines, to_json
    from sortline.explain.finding import Place
    from sortline.explain.lineage import explain
    from sortline.scores import facts
    from sortline.settings import read_settings
    from sortline.tail import find_contract

    settings = read_settings(
        bootstrap=bootstrap, registry_url=registry, topic_prefix=topic_prefix, tracking_uri=tracking_uri
    )
    names = settings.topics
    contract = find_contract(topic, names)
    if contract.topic not in (names.categorized, names.review):
        raise SetupError(
            f"option --topic: decisions are in {names.categorized} and {names.review}, not in {topic}"
        )
    (input_contract,) = (one for one in contracts(names) if one.topic == names.created)
    with closing(ConfluentRegistry(settings.registry_url)) as schemas:
        explanation = explain(
            Place(contract.topic, partition, offset),
            bootstrap=settings.bootstrap,
            registry=schemas,
            contract=contract,
            input_contract=input_contract,
            model=model,
            tracking_uri=settings.tracking_uri,
        )
    if as_json:
        typer.echo(to_json(explanation))
    else:
        facts([(name, printable(value)) for name, value in lines(explanation)], output())
    if explanation.verdict != "equal":
        raise typer.Exit(1)
