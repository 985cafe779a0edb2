"""The rows that models are compared on: kept with the run, and fair to both models.

A run keeps its test part as the artifact `rows/test.parquet`: columns of `LABELLED_PRODUCT` and `group`. Which
part a group is in follows from its hash and the run's seed alone, whatever else is in the catalogue. So rows of
one run are held out from the model of another wherever that model's seed puts their group into its test part, too;
with equal seeds, which is the rule, that is all of them.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from models.mlflow_store import mlflow_client
from models.registry import download
from models.taxonomy import Path as CategoryPath
from schemas.columns import LABELLED_PRODUCT
from schemas.errors import SetupError
from training.splits import TEST, assign_parts, groups_of
from training.true_paths import paths_of

ROWS_FOLDER: Final = "rows"
TEST_ROWS: Final = "test.parquet"


def log_test_rows(client: Any, run_id: str, test: pa.Table) -> None:
    """Keep the test part of a run with it, through the client given."""
    rows = test.select(LABELLED_PRODUCT.names).append_column("group", groups_of(test))
    with tempfile.TemporaryDirectory(prefix="sortline-") as folder:
        pq.write_table(rows, Path(folder, TEST_ROWS), compression="zstd")
        client.log_artifact(run_id, str(Path(folder, TEST_ROWS)), ROWS_FOLDER)


def fetch_test_rows(run_id: str | None, *, tracking_uri: str) -> pa.Table | None:
    """Return what `log_test_rows` kept; None if that run (or no run at all) has no such rows.

    Raises DependencyUnavailableError if MLflow does not answer, SetupError if the file is no table of products.
    """
    if run_id is None:
        return None
    with mlflow_client(tracking_uri) as client:
        kept = {artifact.path for artifact in client.list_artifacts(run_id, ROWS_FOLDER)}
    if f"{ROWS_FOLDER}/{TEST_ROWS}" not in kept:
        return None
    with tempfile.TemporaryDirectory(prefix="sortline-") as folder:
        file = download(f"runs:/{run_id}/{ROWS_FOLDER}/{TEST_ROWS}", Path(folder), tracking_uri=tracking_uri)
        try:
            rows = pq.read_table(file)
            return rows.select([*LABELLED_PRODUCT.names, "group"])
        except (OSError, KeyError, pa.ArrowException) as error:
            raise SetupError(
                f"The test rows of run {run_id} cannot be read ({error}): train that model again, or promote with "
                "--force --reason."
            ) from error


def fair_rows(
    champions: pa.Table | None,
    candidates: pa.Table,
    *,
    champion_lineage: Mapping[str, object],
    candidate_lineage: Mapping[str, object],
) -> tuple[pa.Table, pa.Table]:
    """Return the champion's test rows, and the candidate's newer ones, that neither model has learned from.

    Newer are rows that the champion's test part does not have as they are: products that came later, and products
    that changed or got another category since. Of such a product only the newer row is kept: its old label would
    be held against the model that learned the correction.
    """
    seeds = [lineage.get("seed") for lineage in (champion_lineage, candidate_lineage)]
    candidates = _held_out(candidates, seeds)
    if champions is None:
        return candidates.slice(0, 0), candidates
    champions = _held_out(champions, seeds)
    before, after = _contents(champions), _contents(candidates)
    has_changed = np.array([after.get(product, content) != content for product, content in before.items()], bool)
    is_newer = np.array([before.get(product) != content for product, content in after.items()], bool)
    return champions.filter(pa.array(~has_changed)), candidates.filter(pa.array(is_newer))


def relabelled(before: pa.Table, after: pa.Table) -> list[tuple[CategoryPath, CategoryPath]]:
    """Return the former and the present category of each product that is in both tables with different ones."""
    old, new = _categories(before), _categories(after)
    return [(old[product], new[product]) for product in old if product in new and old[product] != new[product]]


def _held_out(rows: pa.Table, seeds: list[object]) -> pa.Table:
    is_held_out = np.ones(rows.num_rows, np.bool_)
    for seed in seeds:
        if not isinstance(seed, int):
            raise SetupError(
                "A bundle whose lineage tells no seed cannot be compared: nobody knows what it has learned from; "
                "train it with `sortline train`, or promote with --force --reason."
            )
        is_held_out &= assign_parts(groups_of(rows), seed=seed) == TEST
    return rows.filter(pa.array(is_held_out))


def _contents(rows: pa.Table) -> dict[str, str]:
    """Return what each product's row says, in the order of the rows."""
    plain = rows.select(LABELLED_PRODUCT.names).to_pylist()
    return {row["product_id"]: json.dumps(row, default=str, sort_keys=True) for row in plain}


def _categories(rows: pa.Table) -> dict[str, CategoryPath]:
    products = cast("list[str]", rows["product_id"].to_pylist())
    return dict(zip(products, paths_of(rows["category_path"]), strict=True))
