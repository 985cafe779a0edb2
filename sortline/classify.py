"""`sortline classify`: decisions for the products of a file, by the code that the stream runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from schemas.errors import SetupError
from sortline.options import ModelOption

#: As many as a large slice of the stream has.
_ROWS_AT_ONCE: Final = 2_000


def classify(
    *,
    from_file: Annotated[Path, typer.Option("--from", help="Products: Parquet, CSV or JSON Lines.")],
    to: Annotated[Path, typer.Option("--to", help="Parquet file to write.")],
    model: ModelOption = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first so many rows.")] = None,
) -> None:
    """Classify the products of a file, exactly as the stream would.

    Writes Parquet with product_id, category_path, confidence, decision
    (accepted, backed_off, review), the three most probable alternatives, and
    what the model had not seen in training (unseen_brand, unseen_seller,
    unfamiliar_text), one row a product, in the order of the file.

    Example:
      sortline classify --model bundles/first --from products.csv --to decisions.parquet
    """
    if to.suffix.lower() != ".parquet":
        raise SetupError(f"option --to: {to.name} must end in .parquet")

    import time
    from collections import Counter

    import pyarrow as pa
    import pyarrow.parquet

    from schemas.columns import DECISION, PRODUCT
    from schemas.product_files import read_products
    from sortline.console import messages, say
    from sortline.model_source import open_model
    from sortline.progress import StepProgress
    from sortline.settings import read_settings

    settings = read_settings(model=model)
    decisions: Counter[str] = Counter()
    n_unseen_brands = 0
    with StepProgress(messages()) as progress:
        progress.step("Loading the model")
        classifier = open_model(settings)
        progress.step(f"Reading {from_file.name}")
        products = read_products(from_file, labelled=False, limit=limit).select(PRODUCT.names).cast(PRODUCT)
        progress.step("Classifying", products.num_rows)
        started = time.monotonic()
        batches: list[pa.RecordBatch] = []
        for batch in products.combine_chunks().to_batches(max_chunksize=_ROWS_AT_ONCE):
            batches.append(classifier.classify(batch))
            decisions.update(str(decision) for decision in batches[-1]["decision"].to_pylist())
            n_unseen_brands += sum(map(bool, batches[-1]["unseen_brand"].to_pylist()))
            progress.advance(batch.num_rows)
        seconds = time.monotonic() - started
        try:
            to.parent.mkdir(parents=True, exist_ok=True)
            pyarrow.parquet.write_table(pa.Table.from_batches(batches, DECISION), to)
        except OSError as error:
            raise SetupError(f"option --to: {to} cannot be written: {error.strerror or error}") from error
    counts = ", ".join(f"{decisions[name]:,} {name}" for name in ("accepted", "backed_off", "review"))
    say(
        f"{products.num_rows:,} products classified by {classifier.name} {classifier.version} in {seconds:.1f} s "
        f"({products.num_rows / max(seconds, 1e-9):,.0f}/s): {counts}; "
        f"{n_unseen_brands:,} of brands it had not seen"
    )
    say(f"decisions in {to}")
