"""`sortline stack up|down|status`: a Kafka and a schema registry on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from compose.stack import Stack

app = typer.Typer(help="Run Kafka and a schema registry on this machine, for development.", no_args_is_help=True)

_StateDirOption = Annotated[
    Path | None, typer.Option("--state-dir", help="Folder of pids, logs and data [SORTLINE_STATE_DIR].")
]


@app.command("up")
def up(
    *,
    engine: Annotated[
        str | None,
        typer.Option(
            "--engine",
            help="docker (containers), jvm (Java processes) or auto, the first possible [SORTLINE_ENGINE].",
        ),
    ] = None,
    kafka_port: Annotated[
        int | None, typer.Option("--kafka-port", help="Port of Kafka [SORTLINE_KAFKA_PORT].")
    ] = None,
    registry_port: Annotated[
        int | None, typer.Option("--registry-port", help="Port of the registry [SORTLINE_REGISTRY_PORT].")
    ] = None,
    kafka_image: Annotated[
        str | None, typer.Option("--kafka-image", help="Image of Kafka, with docker [SORTLINE_KAFKA_IMAGE].")
    ] = None,
    registry_image: Annotated[
        str | None, typer.Option("--registry-image", help="Image of the registry [SORTLINE_REGISTRY_IMAGE].")
    ] = None,
    state_dir: _StateDirOption = None,
) -> None:
    """Start Kafka and the schema registry and wait until both answer; a second call changes nothing.

    Topics and schemas are kept until `stack down`, which removes both. If only
    a part of the stack is left, after a crash or a restart of the machine, it
    starts anew, empty.

    Examples:
      sortline stack up
      sortline stack up --engine jvm --kafka-port 19092 --registry-port 18081
    """
    from compose.images import ImageNames
    from compose.services import Ports
    from compose.stack import open_stack
    from sortline.settings import SortlineSettings, read_settings

    settings = read_settings(
        engine=engine,
        kafka_port=kafka_port,
        registry_port=registry_port,
        kafka_image=kafka_image,
        registry_image=registry_image,
        state_dir=state_dir,
    )
    stack = open_stack(
        settings.engine,
        state_dir=settings.state_dir,
        cache_dir=settings.cache_dir,
        ports=Ports(kafka=settings.kafka_port, registry=settings.registry_port),
        images=ImageNames(kafka=settings.kafka_image, registry=settings.registry_image),
    )
    endpoints = stack.up(_progress)
    typer.echo(f"Kafka            {endpoints.bootstrap}")
    typer.echo(f"schema registry  {endpoints.registry_url}")
    defaults = SortlineSettings.model_fields
    if (endpoints.bootstrap, endpoints.registry_url) != (
        defaults["bootstrap"].default,
        defaults["registry_url"].default,
    ):
        typer.echo("for the other commands:")
        typer.echo(
            f"  export SORTLINE_BOOTSTRAP={endpoints.bootstrap} SORTLINE_REGISTRY_URL={endpoints.registry_url}"
        )


@app.command("down")
def down(*, state_dir: _StateDirOption = None) -> None:
    """End exactly what `stack up` started, and remove its topics and schemas."""
    stack = _started_stack(state_dir)
    if stack is None:
        typer.echo("no stack was started")
        return
    stack.down(_progress)
    typer.echo("the stack is down, its topics and schemas are removed")


@app.command("status")
def status(*, state_dir: _StateDirOption = None) -> None:
    """Show what runs and where. The exit code is 0 if all of the stack runs, otherwise 1."""
    from sortline.console import Column, LineTable, output

    stack = _started_stack(state_dir)
    if stack is None:
        typer.echo("no stack was started")
        raise typer.Exit(1)
    services = stack.status()
    columns = [
        Column(name="service", width=8),
        Column(name="state", width=7),
        Column(name="address", width=max(len(service.address) for service in services)),
        Column(name=f"engine {stack.engine}", width=max(len(service.detail) for service in services)),
    ]
    table = LineTable(columns, output())
    for service in services:
        table.row(service.service, "running" if service.is_running else "stopped", service.address, service.detail)
    if not all(service.is_running for service in services):
        raise typer.Exit(1)


def _started_stack(state_dir: Path | None) -> Stack | None:
    from compose.stack import find_stack
    from sortline.settings import read_settings

    settings = read_settings(state_dir=state_dir)
    return find_stack(state_dir=settings.state_dir, cache_dir=settings.cache_dir)


def _progress(sentence: str) -> None:
    from sortline.console import messages

    messages().print(sentence, soft_wrap=True)
