"""`sortline evaluate`: how good a model is on labelled products."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sortline.options import ModelOption


def evaluate(
    *,
    from_file: Annotated[Path, typer.Option("--from", help="Labelled products: Parquet, CSV or JSON Lines.")],
    model: ModelOption = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first so many rows.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything as one JSON document.")] = False,
) -> None:
    """Measure a model on labelled products: accuracy with coverage, macro-F1, calibration, and each category.

    All rows of the file are measured, so give it products that the model was
    not trained on.

    Example:
      sortline evaluate --model bundles/first --from labelled.parquet --json
    """
    import json

    from schemas.product_files import read_products
    from sortline.console import messages, output
    from sortline.model_source import open_model
    from sortline.progress import StepProgress
    from sortline.scores import class_table, facts, score_facts
    from sortline.settings import read_settings
    from training.evaluation import evaluate_classifier

    settings = read_settings(model=model)
    with StepProgress(messages()) as progress:
        progress.step("Loading the model")
        classifier = open_model(settings)
        progress.step(f"Reading {from_file.name}")
        products = read_products(from_file, labelled=True, limit=limit)
        progress.step("Evaluating")
        evaluation = evaluate_classifier(classifier, products)
    if as_json:
        typer.echo(json.dumps({"model": classifier.name, "version": classifier.version, **evaluation.to_json()}))
        return
    console = output()
    facts(
        [
            ("model", f"{classifier.name} {classifier.version}"),
            ("threshold", f"{classifier.threshold:.4f}"),
            *score_facts(evaluation),
        ],
        console,
    )
    class_table(evaluation, console)
