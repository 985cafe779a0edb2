"""`sortline sample`: writes made-up products to a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import SetupError

if TYPE_CHECKING:
    import pyarrow as pa


def sample(
    *,
    to: Annotated[Path, typer.Option("--to", help="File to write: .parquet, .csv or .jsonl, by its name.")],
    rows: Annotated[int, typer.Option("--rows", min=1, max=10_000_000, help="How many products.")] = 10_000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same products.")] = 7,
) -> None:
    """Write made-up labelled products with every field.

    7,200 sellers, 70 brands, 12 categories; one label in ten is wrong on
    purpose, so that the best possible accuracy is about .90.

    Example:
      sortline sample --rows 10000 --seed 7 --to products.parquet
    """
    from sortline.console import say
    from sortline.sample_products import generate_products

    write_products(generate_products(rows=rows, seed=seed), to=to)
    say(f"{rows:,} products in {to} ({to.stat().st_size / 1e6:,.1f} MB)")


def write_products(products: pa.Table, *, to: Path) -> None:
    """Write products as Parquet, CSV or JSON Lines, by the file's extension.

    Raises SetupError for another extension, or where the file cannot be written.
    """
    import json
    from datetime import datetime

    import pyarrow.csv
    import pyarrow.parquet

    extension = to.suffix.lower()
    if extension not in {".parquet", ".csv", ".jsonl"}:
        raise SetupError(f"option --to: {to.name} must end in .parquet, .csv or .jsonl")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        if extension == ".parquet":
            pyarrow.parquet.write_table(products, to)
        elif extension == ".csv":
            pyarrow.csv.write_csv(products, to)
        else:
            with to.open("w", encoding="utf-8") as lines:
                for batch in products.to_batches(max_chunksize=10_000):
                    lines.writelines(
                        json.dumps(row, ensure_ascii=False, default=datetime.isoformat) + "\n"
                        for row in batch.to_pylist()
                    )
    except OSError as error:
        raise SetupError(f"option --to: {to} cannot be written: {error.strerror or error}") from error
