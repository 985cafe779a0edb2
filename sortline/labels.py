"""`sortline labels audit`: labelled products whose label is probably wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from schemas.errors import SetupError
from sortline.labelled_products import check_source, read_labelled
from sortline.options import (
    BootstrapOption,
    FromFileOption,
    FromTopicOption,
    RegistryOption,
    TopicPrefixOption,
)

app = typer.Typer(help="Look for wrong labels before training on them.", no_args_is_help=True)


@app.callback()
def _labels() -> None:
    """Look for wrong labels before training on them."""


@app.command("audit")
def audit(
    *,
    from_file: FromFileOption = None,
    from_topic: FromTopicOption = False,
    to: Annotated[
        Path | None, typer.Option("--to", help="File for all suspects: .csv, .parquet or .jsonl, by its name.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many to show.")] = 20,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the folds and the fit.")] = 7,
    min_products: Annotated[
        int, typer.Option("--min-products", min=1, help="A category with fewer is judged as its parent.")
    ] = 20,
    bootstrap: BootstrapOption = None,
    registry: RegistryOption = None,
    topic_prefix: TopicPrefixOption = None,
) -> None:
    """List products whose label a model contradicts, and titles with several labels.

    Each product is judged by a model that saw neither it nor another product of
    its title. Nothing is changed: a person looks, and sends the product to
    products.catalog again with the right label.

    Examples:
      sortline labels audit --from labelled.parquet --to suspects.csv
      sortline labels audit --from-topic --limit 100
    """
    check_source(from_file, from_topic=from_topic)
    if to is not None and to.suffix.lower() not in {".csv", ".parquet", ".jsonl"}:
        raise SetupError(f"option --to: {to.name} must end in .csv, .parquet or .jsonl")

    from sortline.console import messages, output, say
    from sortline.label_report import report_of, show_audit
    from sortline.progress import StepProgress
    from sortline.sample import write_products
    from sortline.settings import read_settings

    settings = read_settings(bootstrap=bootstrap, registry_url=registry, topic_prefix=topic_prefix)
    with StepProgress(messages()) as progress:
        progress.step("Loading the libraries")
        from training.label_audit import audit_labels

        products, _ = read_labelled(from_file, settings, progress)
        found = audit_labels(products, seed=seed, min_products=min_products, progress=progress)
        report = report_of(found)
        if to is not None:
            progress.step(f"Writing {to.name}")
            write_products(report, to=to)
    show_audit(found, limit, output())
    if to is not None:
        say(f"{report.num_rows:,} products in {to}")
