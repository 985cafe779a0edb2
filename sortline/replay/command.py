"""`sortline replay`: decide again on products.created with any model, and compare with what was published."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sortline.options import BootstrapOption, ModelOption, RegistryOption, TopicPrefixOption, TrackingUriOption


def replay(
    *,
    from_offsets: Annotated[
        str | None,
        typer.Option(
            "--from-offsets",
            help="0:100-200,1:0- (PARTITION:FIRST-LAST), or a JSON file of offsets; default: all.",
        ),
    ] = None,
    to_offsets: Annotated[
        str | None, typer.Option("--to-offsets", help="The last offset of each partition, 0:200,1:300; or a file.")
    ] = None,
    model: ModelOption = None,
    diff: Annotated[
        bool, typer.Option("--diff", help="Compare with what was published for the same inputs.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write the comparison as a page, too; implies --diff.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything as one JSON document.")] = False,
    to: Annotated[str | None, typer.Option("--to", help="Publish the decisions to this topic.")] = None,
    allow_live: Annotated[
        bool, typer.Option("--allow-live", help="Let --to be the live topic of categorized products.")
    ] = False,
    tracking_uri: TrackingUriOption = None,
    bootstrap: BootstrapOption = None,
    registry: RegistryOption = None,
    topic_prefix: TopicPrefixOption = None,
) -> None:
    """Decide again on what is in products.created, with a model of your choice.

    By the code of the stream, batch by batch, from the offsets given to the end
    that the topic has now. With --diff, each decision is compared with the one
    that was published for the same input: how many agree, overall and by
    category, and what changes. What is invalid is counted and listed.

    Nothing is committed, and nothing is published without --to. Then decisions,
    those for review among them, and withdrawals are written to that topic with
    the headers that the stream would give them; its schema is registered.

    Examples:
      sortline replay --model models:/sortline/7 --diff
      sortline replay --from-offsets 0:100-200,1:0- --model bundles/second --diff --html changes.html
      sortline replay --from-offsets run.json --model bundles/second --to products.recategorized
    """
    import time
    from contextlib import closing

    from schemas.registry import ConfluentRegistry
    from sortline.console import messages, output, say
    from sortline.model_source import open_model
    from sortline.offset_ranges import limited, parse_offsets
    from sortline.progress import StepProgress
    from sortline.replay.display import show, to_json
    from sortline.replay.publishing import check_target
    from sortline.replay.run import run_replay
    from sortline.settings import read_settings

    settings = read_settings(
        bootstrap=bootstrap,
        registry_url=registry,
        topic_prefix=topic_prefix,
        model=model,
        tracking_uri=tracking_uri,
    )
    created = settings.topics.created
    ranges = None
    if from_offsets is not None:
        ranges = parse_offsets(from_offsets, option="--from-offsets", topic=created)
    if to_offsets is not None:
        ranges = limited(ranges, parse_offsets(to_offsets, option="--to-offsets", topic=created))
    if to is not None:
        check_target(to, settings.topics, allow_live=allow_live)
    if html is not None:
        from sortline.replay.page import check_page

        check_page(html)
    with StepProgress(messages()) as progress, closing(ConfluentRegistry(settings.registry_url)) as schemas:
        progress.step("Loading the model")
        classifier = open_model(settings)
        report = run_replay(
            classifier,
            bootstrap=settings.bootstrap,
            registry=schemas,
            names=settings.topics,
            ranges=ranges,
            group_id=settings.group_id,
            now_ms=lambda: time.time_ns() // 1_000_000,
            progress=progress,
            compare=diff or html is not None,
            to=to,
        )
    if as_json:
        typer.echo(to_json(report))
    else:
        show(report, output())
    if html is not None:
        from sortline.replay.page import write_page

        write_page(report, html)
        if not as_json:
            say(f"page       {html}")
