"""`sortline demo`: the command and its story."""

from __future__ import annotations

from typing import Annotated

import typer

DEFAULT_EVENTS = 5_000


def demo(
    *,
    events: Annotated[
        int, typer.Option("--events", min=50, help="How many products of the test part are sent.")
    ] = DEFAULT_EVENTS,
    rows: Annotated[
        int | None,
        typer.Option("--rows", min=2_000, help="Train on so many products only; all of the sample by default."),
    ] = None,
    use_running: Annotated[
        bool,
        typer.Option("--use-running", help="Use the Kafka and registry that run already, with topics of its own."),
    ] = False,
    engine: Annotated[
        str | None, typer.Option("--engine", help="What runs the stack: docker, jvm or auto [SORTLINE_ENGINE].")
    ] = None,
    bootstrap: Annotated[
        str | None, typer.Option("--bootstrap", help="With --use-running: Kafka [SORTLINE_BOOTSTRAP].")
    ] = None,
    registry: Annotated[
        str | None, typer.Option("--registry", help="With --use-running: schema registry [SORTLINE_REGISTRY_URL].")
    ] = None,
) -> None:
    """Show the main job on a real Kafka, and end everything again.

    Starts Kafka and a schema registry on free ports, loads the sample catalogue
    into the compacted topic, trains a model from that topic, starts a worker,
    sends it products that the model has not seen (and a few broken records and
    a withdrawn product), and shows what comes out: categorized events, what
    went to review, what went to the dead letters and why. The exit code is 0
    only if every event is accounted for.

    Examples:
      sortline demo
      sortline demo --use-running --events 500
    """
    from sortline.console import output
    from sortline.demo.story import tell
    from sortline.settings import read_settings

    settings = read_settings(bootstrap=bootstrap, registry_url=registry, engine=engine)
    tell(settings, output(), events=events, rows=rows, use_running=use_running)
