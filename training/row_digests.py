"""Which products are new, changed or gone since a model was trained, from sixteen bytes a product.

A compacted topic forgets what a product was before, so a run in MLflow keeps `products.parquet`: a digest of each
product_id and one of its whole row, and nothing of the product itself.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from models.mlflow_store import mlflow_client
from training.catalog import digests_of_rows

FILE: Final = "products.parquet"
_SCHEMA: Final = pa.schema([pa.field("product", pa.uint64()), pa.field("row", pa.uint64())])


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelChanges:
    """Products by what became of them between two trainings.

    Attributes:
        new: only in the later one.
        changed: in both, with another category or another text, price and so on.
        removed: only in the earlier one.
    """

    new: int
    changed: int
    removed: int

    @property
    def total(self) -> int:
        """All three together."""
        return self.new + self.changed + self.removed


def row_digests(products: pa.Table) -> pa.Table:
    """Return `product` and `row`, the first eight bytes of the sha256 of each product_id and of each row.

    One row a product_id; `products` as for `training.catalog.content_digest`.
    """
    pairs = [
        (hashlib.sha256(product_id.encode(errors="surrogatepass")).digest()[:8], row[:8])
        for product_id, row in digests_of_rows(products)
    ]
    both = np.frombuffer(b"".join(one + other for one, other in pairs), "<u8").reshape(-1, 2)
    return pa.Table.from_arrays([pa.array(both[:, 0]), pa.array(both[:, 1])], schema=_SCHEMA)


def changes_between(before: pa.Table, after: pa.Table) -> LabelChanges:
    """Count what became of the products; both as `row_digests` gives them, in any order."""
    (old, old_rows), (new, new_rows) = _columns(before), _columns(after)
    _, in_old, in_new = np.intersect1d(old, new, assume_unique=True, return_indices=True)
    return LabelChanges(
        new=len(new) - len(in_new),
        changed=int((old_rows[in_old] != new_rows[in_new]).sum()),
        removed=len(old) - len(in_old),
    )


def log_row_digests(client: Any, run_id: str, digests: pa.Table) -> None:
    """Keep them with a run of MLflow."""
    with tempfile.TemporaryDirectory(prefix="sortline-") as folder:
        file = Path(folder, FILE)
        pq.write_table(digests, file)
        client.log_artifact(run_id, str(file))


def fetch_row_digests(run_id: str, *, tracking_uri: str) -> pa.Table | None:
    """Return what a run kept, or None if it kept none: it is of an older sortline.

    Raises DependencyUnavailableError if MLflow does not answer.
    """
    with mlflow_client(tracking_uri) as client, tempfile.TemporaryDirectory(prefix="sortline-") as folder:
        if FILE not in {file.path for file in client.list_artifacts(run_id)}:
            return None
        return pq.read_table(client.download_artifacts(run_id, FILE, folder)).cast(_SCHEMA)


def _columns(digests: pa.Table) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    return digests["product"].to_numpy(), digests["row"].to_numpy()
