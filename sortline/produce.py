"""`sortline produce`: products of a file onto a topic."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from schemas.errors import SortlineError
from sortline.options import BootstrapOption, RegistryOption, TopicPrefixOption


def produce(
    file: Annotated[
        Path, typer.Argument(help="Parquet, CSV or JSON Lines, by its extension.", show_default=False)
    ],
    *,
    catalog: Annotated[
        bool, typer.Option("--catalog", help="The rows carry their category: put them on products.catalog.")
    ] = False,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first so many rows.")] = None,
    rate: Annotated[
        float | None,
        typer.Option("--rate", min=0.01, help="Events a second; as fast as Kafka takes them by default."),
    ] = None,
    bootstrap: BootstrapOption = None,
    registry: RegistryOption = None,
    topic_prefix: TopicPrefixOption = None,
) -> None:
    """Put the products of a file on products.created, or labelled ones on products.catalog.

    Columns: product_id, title and, where there are any, description, brand,
    seller_id (or seller), subcategory, price (major units) or price_minor,
    currency, rating, reviews_count; with --catalog also category_path (list) or
    category ("A > B"). Returns once Kafka has confirmed every record; exits 1
    if one of them failed.

    Examples:
      sortline produce products.csv --limit 1000 --rate 200
      sortline produce labelled.parquet --catalog
    """
    from contextlib import closing

    from schemas.product_files import read_products
    from schemas.registry import ConfluentRegistry
    from sortline.console import messages, say
    from sortline.product_producer import produce_table
    from sortline.progress import StepProgress
    from sortline.settings import read_settings

    settings = read_settings(bootstrap=bootstrap, registry_url=registry, topic_prefix=topic_prefix)
    topic = settings.topics.catalog if catalog else settings.topics.created
    with closing(ConfluentRegistry(settings.registry_url)) as schemas, StepProgress(messages()) as progress:
        progress.step(f"Reading {file.name}")
        products = read_products(file, labelled=catalog, limit=limit)
        progress.step(f"Producing to {topic}", products.num_rows)
        report = produce_table(
            products,
            topic=topic,
            labelled=catalog,
            bootstrap=settings.bootstrap,
            registry=schemas,
            rate=rate,
            advance=progress.advance,
        )
    say(
        f"{report.delivered:,} of {products.num_rows:,} events delivered to {topic} "
        f"in {report.seconds:.1f} s ({report.events_per_second:,.0f} events/s)"
    )
    if report.failed:
        raise SortlineError(f"{report.failed:,} events were not delivered to {topic}: {report.first_failure}")
