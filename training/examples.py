"""Products that stand for many: what a person looks at to see what a figure means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.taxonomy import Path
from training.outcomes import Outcomes


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One product and what was decided of it.

    Attributes:
        product_id, title: as the producer wrote them, so anything at all: escape them wherever they are shown.
        truth: its category.
        decision, path, confidence: what the model decided; with `review`, the path that it would have guessed.
    """

    product_id: str
    title: str
    truth: Path
    decision: str
    path: Path
    confidence: float


def surest_titles(
    confidence: npt.NDArray[np.float64], products: pa.Table, rows: npt.NDArray[np.int64], n: int
) -> npt.NDArray[np.int64]:
    """Return up to `n` of the rows, the most confident first, each with a title that none before it has."""
    by_title: dict[object, int] = {}
    for row in rows[np.argsort(-confidence[rows], kind="stable")].tolist():
        if len(by_title) == n:
            break
        by_title.setdefault(products["title"][row].as_py(), row)
    return np.array([*by_title.values()], np.int64)


def examples_of(outcomes: Outcomes, products: pa.Table, rows: npt.NDArray[np.int64]) -> tuple[Example, ...]:
    """Return the products of some rows, in the order given; `products` has the rows of `outcomes`."""
    titles = cast("list[str]", products["title"].take(rows).to_pylist())
    truths = cast("list[list[str]]", outcomes.truth.take(rows).to_pylist())
    decided: list[dict[str, Any]] = outcomes.decisions.take(rows).to_pylist()
    return tuple(
        Example(
            product_id=row["product_id"],
            title=title,
            truth=tuple(truth),
            decision=row["decision"],
            path=tuple(row["category_path"]),
            confidence=row["confidence"],
        )
        for title, truth, row in zip(titles, truths, decided, strict=True)
    )
