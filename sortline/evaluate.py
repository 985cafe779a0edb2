"""`sortline evaluate`: how good a model is on labelled products."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import SetupError
from sortline.options import ModelOption

if TYPE_CHECKING:
    import pyarrow as pa

    from models.bundle import Manifest
    from models.classifier import Classifier
    from training.outcomes import Outcomes


def evaluate(
    *,
    from_file: Annotated[Path, typer.Option("--from", help="Labelled products: Parquet, CSV or JSON Lines.")],
    model: ModelOption = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first so many rows.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="All figures as one JSON document.")] = False,
    report: Annotated[
        Path | None, typer.Option("--report", help="Write a page to read in a browser to this file (.html).")
    ] = None,
    compare: Annotated[
        Path | None, typer.Option("--compare", help="Bundle to compare with, in the report.")
    ] = None,
) -> None:
    """Measure a model on labelled products: accuracy with coverage, macro-F1, calibration, and each category.

    All rows of the file are measured, so give it products that the model was
    not trained on. The report shows titles of products.

    Examples:
      sortline evaluate --model bundles/first --from labelled.parquet --json
      sortline evaluate --model bundles/first --from labelled.parquet --report page.html
    """
    if compare is not None and report is None:
        raise SetupError("option --compare: the comparison stands in the report, so give --report FILE, too")

    import json

    from schemas.product_files import read_products
    from sortline.console import messages, output
    from sortline.model_source import open_model_and_manifest
    from sortline.progress import StepProgress
    from sortline.scores import class_table, facts, score_facts
    from sortline.settings import read_settings
    from training.evaluation import evaluate as count
    from training.outcomes import classify_labelled

    settings = read_settings(model=model)
    with StepProgress(messages()) as progress:
        progress.step("Loading the model")
        classifier, manifest = open_model_and_manifest(settings)
        progress.step(f"Reading {from_file.name}")
        products = read_products(from_file, labelled=True, limit=limit)
        progress.step("Evaluating")
        outcomes = classify_labelled(classifier, products)
        evaluation = count(outcomes)
        if report is not None:
            progress.step("Writing the report")
            measured_on = f"all {products.num_rows:,} rows of {from_file.name}"
            _write_report(manifest, classifier, outcomes, products, measured_on, to=report, compare=compare)
    if as_json:
        typer.echo(json.dumps({"model": classifier.name, "version": classifier.version, **evaluation.to_json()}))
        return
    console = output()
    facts(
        [
            ("model", f"{classifier.name} {classifier.version}"),
            ("thresholds", f"{classifier.thresholds}"),
            *score_facts(evaluation),
        ],
        console,
    )
    class_table(evaluation, console)


def _write_report(
    manifest: Manifest,
    classifier: Classifier,
    outcomes: Outcomes,
    products: pa.Table,
    measured_on: str,
    *,
    to: Path,
    compare: Path | None,
) -> None:
    from models.bundle import load_bundle
    from training import comparison
    from training.reports import build_report
    from training.reports.files import write_file
    from training.reports.page import render_page

    compared, note = None, None
    if compare is not None:
        compared = comparison.compare(load_bundle(compare), classifier, products)
        note = (
            "Both are measured on all rows of the file: a model that has learned from some of them is flattered."
        )
    page = render_page(
        build_report(
            manifest,
            outcomes,
            products,
            measured_on=measured_on,
            comparison=compared,
            comparison_note=note,
        )
    )
    write_file(page, to)
