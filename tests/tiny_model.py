"""A small real model for tests: real features, a real text model, real LightGBM trees, fitted under a second.

It knows five categories, one of which (`Computers`) is also an ancestor of another.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import lightgbm
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.matrix import vectorize
from features.prices import fit_price_edges
from features.spec import FeatureSpec, Profile, classic_spec, text_spec
from models.bundle import save_bundle
from models.calibration import Calibration
from models.classifier import Classifier
from models.familiarity import fit_familiarity
from models.taxonomy import Taxonomy
from models.text_model import TextModel
from models.thresholds import Thresholds
from models.trees import Trees
from models.weighting import fit_weighting
from schemas import columns

SEED: Final = 7

_KINDS: Final = (
    (("Audio", "Headphones"), ("wireless headphones", "in-ear earphones", "noise cancelling headset"), 5900),
    (("Audio", "Speakers"), ("bluetooth speaker", "bookshelf speakers", "soundbar with subwoofer"), 12900),
    (("Computers",), ("usb hub", "laptop sleeve", "docking station"), 3900),
    (("Computers", "Laptops"), ("laptop 14 inch", "gaming laptop 16 inch", "notebook computer"), 99900),
    (("Home", "Kitchen", "Kettles"), ("electric kettle 1.7 l", "gooseneck kettle", "stovetop kettle"), 3400),
)
_BRANDS: Final = ("Acme", "Nordlys", "Østfold", "東風", None)


def tiny_products(rows_per_category: int = 16) -> pa.RecordBatch:
    """Return labelled products (`columns.LABELLED_PRODUCT`), categories in turn; some lack optional fields."""
    random = np.random.default_rng(SEED)
    rows: list[dict[str, object]] = []
    for i in range(rows_per_category):
        for category, nouns, price in _KINDS:
            brand = _BRANDS[random.integers(len(_BRANDS))]
            noun = nouns[i % len(nouns)]
            rows.append(
                {
                    "product_id": f"p-{len(rows):04d}",
                    "title": f"{brand or 'No name'} {noun} {random.choice(['pro', 'new', 'mk2', ''])}".strip(),
                    "description": f"{noun} in {random.choice(['black', 'white'])}" if i % 3 else None,
                    "brand": brand,
                    "seller_id": f"seller-{random.integers(6)}" if i % 4 else None,
                    "subcategory": category[-1].lower() if i % 5 == 0 else None,
                    "price_minor": int(price * random.uniform(0.7, 1.3)) if i % 6 else None,
                    "currency": "EUR" if i % 6 else None,
                    "rating": round(float(random.uniform(3, 5)), 1) if i % 2 else None,
                    "reviews_count": int(random.integers(500)) if i % 2 else None,
                    "created_at": datetime(2026, 1, 1, tzinfo=UTC),
                    "category_path": list(category),
                }
            )
    return pa.RecordBatch.from_pylist(rows, columns.LABELLED_PRODUCT)


def fit_tiny_classifier(
    profile: Profile = "text", *, name: str = "tiny", threshold: float = 0.6, class_bias: bool = False
) -> Classifier:
    """Fit on `tiny_products()`, deterministic. There is no held-out part, so the calibration is not fitted."""
    labelled = tiny_products()
    edges = fit_price_edges(labelled)
    spec = text_spec(edges) if profile == "text" else classic_spec(edges)
    paths = [tuple(path or ()) for path in labelled["category_path"].to_pylist()]
    taxonomy = Taxonomy(tuple(set(paths)))
    classes = np.array([taxonomy.index_of(path) for path in paths], np.int64)
    features = vectorize(labelled, spec)
    text = _fit_text(labelled, spec, classes, taxonomy.n_leaves) if profile == "text" else None
    offsets = np.zeros((len(classes), taxonomy.n_leaves))
    if text is not None:
        offsets += text.scores(features.tokens)
    data = lightgbm.Dataset(features.dense, classes, init_score=offsets if text is not None else None)
    booster = lightgbm.train(
        {
            "objective": "multiclass",
            "num_class": taxonomy.n_leaves,
            "boost_from_average": text is None,
            "num_leaves": 7,
            "min_data_in_leaf": 3,
            "lambda_l2": 1.0,
            "num_threads": 1,
            "deterministic": True,
            "seed": SEED,
            "verbosity": -1,
        },
        data,
        num_boost_round=5 if text is not None else 30,
    )
    trees = Trees.from_booster(booster, n_classes=taxonomy.n_leaves)
    return Classifier(
        name=name,
        spec=spec,
        taxonomy=taxonomy,
        text=text,
        trees=trees,
        calibration=Calibration(bias=np.linspace(-0.1, 0.1, taxonomy.n_leaves) if class_bias else None),
        thresholds=Thresholds.equal(threshold, len(taxonomy.nodes)),
        familiarity=fit_familiarity(features),
    )


def build_tiny_bundle(to: Path, profile: Profile = "text", *, name: str = "tiny", threshold: float = 0.6) -> Path:
    """Fit a tiny model, save it as a bundle in the folder `to`, and return `to`."""
    save_bundle(
        fit_tiny_classifier(profile, name=name, threshold=threshold),
        to,
        metrics={"accuracy": 1.0},
        lineage={"source": "tests"},
        self_check=tiny_products(rows_per_category=2),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        target_precision=0.95,
    )
    return to


def _fit_text(
    products: pa.RecordBatch, spec: FeatureSpec, classes: npt.NDArray[np.int64], n_classes: int
) -> TextModel:
    """Fit a multinomial linear model by plain gradient descent: small enough here, and the same on every run."""
    tokens = vectorize(products, spec).tokens
    weighting = fit_weighting(tokens, n_buckets=spec.n_buckets, block_weights=np.ones(len(spec.blocks)))
    rows = weighting.row_vectors(tokens)
    seen = np.unique(rows.indices)
    rows = rows[:, seen]
    truth = np.eye(n_classes)[classes]
    weights = np.zeros((len(seen), n_classes))
    for _ in range(60):
        scores = rows @ weights
        probabilities = np.exp(scores - scores.max(axis=1, keepdims=True))
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        weights += rows.T @ (truth - probabilities) * 0.05
    dense = np.zeros((spec.n_buckets, n_classes), np.float32)
    dense[seen] = weights
    return TextModel.from_dense(weighting=weighting, weights=dense, bias=np.zeros(n_classes, np.float32))
