"""Outcomes of a model that is not there: made-up probabilities for as many classes as wanted."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from models.decisions import decide
from models.familiarity import Unseen
from models.manifest import Manifest
from models.taxonomy import Path, Taxonomy
from schemas.columns import LABELLED_PRODUCT
from training.outcomes import Outcomes
from training.true_paths import classes_of, is_at_or_above, paths_of


def made_classes(n_classes: int) -> tuple[Path, ...]:
    return tuple((f"Department {k % 12}", f"Shelf {k % 60}", f"Category number {k}") for k in range(n_classes))


def made_outcomes(
    n_rows: int, classes: tuple[Path, ...], *, title: str = "A thing of brand", seed: int = 0
) -> tuple[Outcomes, pa.Table]:
    """Return outcomes and the products they are of; large classes are many, and mistakes go to neighbours."""
    random = np.random.default_rng(seed)
    taxonomy = Taxonomy(classes)
    n_classes = len(classes)
    targets = np.minimum(random.geometric(min(0.5, 6 / n_classes), n_rows) - 1, n_classes - 1)
    scores = random.normal(0, 0.5, (n_rows, n_classes))
    scores[np.arange(n_rows), targets] += random.normal(np.log(n_classes) + 3, 1.5, n_rows)
    scores[np.arange(n_rows), (targets + 1) % n_classes] += random.normal(np.log(n_classes) + 1, 1.5, n_rows)
    probabilities = np.exp(scores)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    products = pa.Table.from_pylist(
        [
            {
                "product_id": f"p{row}",
                "title": f"{title} {'long ' * (row % 9)}{row // 2}",
                "brand": "Acme" if row % 5 else None,
                "seller_id": "s1",
                "price_minor": 100 if row % 3 else None,
                "category_path": list(taxonomy.leaves[target]),
            }
            for row, target in enumerate(targets.tolist())
        ],
        LABELLED_PRODUCT,
    )
    ids, truth = (products[name].combine_chunks() for name in ("product_id", "category_path"))
    decisions = decide(ids, probabilities, taxonomy, np.full(len(taxonomy.nodes), 0.6))
    classes_of_rows = classes_of(paths_of(truth), taxonomy.leaves)
    best = probabilities.argmax(axis=1)
    outcomes = Outcomes(
        taxonomy=taxonomy,
        truth=truth,
        probabilities=probabilities,
        decisions=decisions,
        targets=classes_of_rows,
        best=best,
        confidence=probabilities.max(axis=1),
        is_right=best == classes_of_rows,
        is_published=np.array([row != "review" for row in decisions["decision"].to_pylist()]),
        is_true=is_at_or_above(decisions["category_path"], truth),
        unseen=Unseen(
            brand=np.arange(n_rows) % 10 == 1,
            seller=np.zeros(n_rows, np.bool_),
            text=random.random(n_rows),
        ),
    )
    return outcomes, products


def made_manifest(
    classes: tuple[Path, ...], *, name: str = "made-up", lineage: dict[str, object] | None = None
) -> Manifest:
    return Manifest(
        format_version=4,
        name=name,
        version="0123456789ab",
        profile="text",
        labels=Taxonomy(classes).leaves,
        taxonomy_version=Taxonomy(classes).version,
        feature_spec={},
        feature_fingerprint="fedcba",
        thresholds={"pooled": 0.6, "lowest": 0.5, "highest": 0.9, "never": 1},
        target_precision=0.95,
        calibration={
            "temperature": 1.1,
            "class_bias": False,
            "unseen_brand": {"temperature": 1.5, "threshold": 0.9},
        },
        metrics={"rows": {"train": 64, "calibrate": 16, "test": 20}},
        lineage={"rows": 100, "seed": 7} if lineage is None else lineage,
        libraries={"numpy": "2"},
        created_at="2026-01-01T00:00:00+00:00",
        files={},
    )
