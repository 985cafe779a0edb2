"""`sortline worker`: runs the stream until it is told to stop."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from sortline.options import BootstrapOption, ModelOption, RegistryOption, TopicPrefixOption


def worker(
    *,
    model: ModelOption = None,
    bootstrap: BootstrapOption = None,
    registry: RegistryOption = None,
    topic_prefix: TopicPrefixOption = None,
    group_id: Annotated[str | None, typer.Option("--group-id", help="Consumer group [SORTLINE_GROUP_ID].")] = None,
    static_member: Annotated[
        str | None,
        typer.Option("--static-member", help="group.instance.id: keeps partitions [SORTLINE_STATIC_MEMBER]."),
    ] = None,
    dead_letter_dialect: Annotated[
        str | None,
        typer.Option(
            "--dead-letter-dialect",
            help="connect, streams or spring: their headers [SORTLINE_DEAD_LETTER_DIALECT].",
        ),
    ] = None,
    delivery: Annotated[
        Literal["at-least-once", "exactly-once"] | None,
        typer.Option("--delivery", help="What a crash costs: repeated outputs, or nothing [SORTLINE_DELIVERY]."),
    ] = None,
    web_port: Annotated[
        int | None, typer.Option("--web-port", help="Port of /health and /ready [SORTLINE_WEB_PORT].")
    ] = None,
) -> None:
    """Categorize products.created until SIGTERM or Ctrl-C.

    Nothing is lost: an event is committed only after its result was delivered.
    With exactly-once nothing is repeated either, for read_committed readers.
    Start as many workers as there are partitions, at most; each has its share.
    /ready says whether partitions are assigned and moving. What cannot be read
    goes to products.created.dlq with the reason; a flood of it stops the
    worker. With models:/name@alias it follows the alias: the model is swapped
    while the worker runs.

    Examples:
      sortline worker --model bundles/first
      SORTLINE_MODEL=models:/sortline@champion sortline worker --group-id blue --web-port 6067
    """
    from sortline.long_running import settings_to_run

    settings, named = settings_to_run(
        model=model,
        bootstrap=bootstrap,
        registry_url=registry,
        topic_prefix=topic_prefix,
        group_id=group_id,
        static_member=static_member,
        dead_letter_dialect=dead_letter_dialect,
        delivery=delivery,
        web_port=web_port,
    )

    from streams.settings import WorkerSettings
    from streams.worker import run_worker

    code = run_worker(
        WorkerSettings(
            model=named,
            bootstrap=settings.bootstrap,
            registry_url=settings.registry_url,
            topics=settings.topics,
            group_id=settings.group_id,
            static_member=settings.static_member,
            tracking_uri=settings.tracking_uri,
            model_poll_seconds=settings.model_poll_seconds,
            delivery=settings.delivery,
            web_host=settings.web_host,
            web_port=settings.web_port,
            commit_interval_seconds=settings.commit_interval_seconds,
            shutdown_seconds=settings.shutdown_seconds,
            session_timeout_seconds=settings.session_timeout_seconds,
            dead_letter_dialect=settings.dead_letter_dialect,
            dead_letters_in_a_row=settings.dead_letters_in_a_row,
            dead_letters_share=settings.dead_letters_share,
            dead_letters_window=settings.dead_letters_window,
        )
    )
    if code:
        raise typer.Exit(code)
