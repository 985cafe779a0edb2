"""The `sortline` command: mounts the subcommands, and ends every run with a sentence and an exit code."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer

import features
from schemas.errors import SortlineError
from sortline import (
    classify,
    evaluate,
    keys,
    labels,
    pipeline,
    produce,
    retrain,
    sample,
    serve,
    stack,
    tail,
    topics,
    train,
    warm_up,
    worker,
)
from sortline.dead_letters import command as dead_letters
from sortline.demo import command as demo
from sortline.explain import command as explain
from sortline.kernel_cache import settle_kernel_cache
from sortline.kernel_target import settle_kernel_target
from sortline.models_command import command as models_command
from sortline.replay import command as replay

HELP = """
Sorts product events into categories as they happen.

Products go in at [bold]products.created[/]; categorized ones come out at
[bold]products.categorized[/], those that a person must decide at
[bold]products.review[/], unreadable ones at [bold]products.created.dlq[/].
The model is trained from the compacted topic [bold]products.catalog[/].

[bold]See it work:[/]
  sortline demo

[bold]By hand:[/]
  sortline stack up && sortline topics apply
  sortline sample --rows 10000 --to products.parquet
  sortline produce products.parquet --catalog
  sortline train --from-topic --target-precision 0.85 --to bundles/first
  sortline worker --model bundles/first &
  sortline produce products.parquet --limit 1000
  sortline tail --from-beginning --limit 20

Settings also come from the environment: SORTLINE_BOOTSTRAP,
SORTLINE_REGISTRY_URL, SORTLINE_TOPIC_PREFIX, SORTLINE_GROUP_ID,
SORTLINE_MODEL, SORTLINE_TRACKING_URI and more; an option wins over them.
"""

app = typer.Typer(
    name="sortline",
    help=HELP,
    rich_markup_mode="rich",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("sample")(sample.sample)
app.command("produce")(produce.produce)
app.command("train")(train.train)
app.command("retrain")(retrain.retrain)
app.command("evaluate")(evaluate.evaluate)
app.command("classify")(classify.classify)
app.command("warm-up")(warm_up.warm_up)
app.command("worker")(worker.worker)
app.command("serve")(serve.serve)
app.command("tail")(tail.tail)
app.command("explain-event")(explain.explain_event)
app.command("replay")(replay.replay)
app.command("demo")(demo.demo)
app.add_typer(stack.app, name="stack")
app.add_typer(topics.app, name="topics")
app.add_typer(labels.app, name="labels")
app.add_typer(keys.app, name="keys")
app.add_typer(pipeline.app, name="pipeline")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(models_command.app, name="models")


@dataclass(slots=True)
class Invocation:
    """What one run of the program knows about itself: the callback fills it, `main` reads it after a failure."""

    debug: bool = False


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sortline {version('sortline')}")
        raise typer.Exit


@app.callback()
def _global_options(
    context: typer.Context,
    *,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="SORTLINE_DEBUG", help="Show the traceback of an unexpected error.")
    ] = False,
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    del show_version  # its callback has done it
    if isinstance(context.obj, Invocation):
        context.obj.debug = debug


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code; failures become one sentence on stderr.

    0 is success, 1 a failure while running, 2 something to set up or spell differently, 130 an interruption. The
    traceback of an error that nobody foresaw is shown with --debug or SORTLINE_DEBUG=1.
    """
    invocation = Invocation()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a title that the terminal's encoding lacks is no reason to fail
    try:
        beside_the_code = Path(features.__file__).parent / "__pycache__"
        warnings = (
            settle_kernel_target(os.environ),
            settle_kernel_cache(os.environ, beside_the_code=beside_the_code),
        )
        for warning in filter(None, warnings):
            print(f"warning: {warning}", file=sys.stderr)  # noqa: T201 - as failures are told
        app(args=arguments, prog_name="sortline", obj=invocation)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except KeyboardInterrupt:
        return 130
    except SortlineError as error:
        if invocation.debug:
            raise
        _say(str(error))
        return error.exit_code
    except Exception as error:  # the last frame: what nobody foresaw becomes a sentence
        if invocation.debug:
            raise
        what = " ".join(str(error).split()) or "no message"
        _say(f"unexpected {type(error).__name__}: {what} (sortline --debug ... shows where it came from)")
        return 1
    return 0


def _say(sentence: str) -> None:
    print(f"error: {sentence}", file=sys.stderr)  # noqa: T201 - stderr is where a command's failure is told
