"""Training and classifying with many categories: what it takes, and what comes out.

    python benchmarks/many_categories.py --categories 5000 --products 50000

The catalogue is made: three levels, each category with two nouns of its own, shared adjectives, brands and model
numbers; one title in fifty has a noun of a neighbour. So the accuracy says that nothing is lost, not how well a
real catalogue of that size could be sorted.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # a script: in place of its folder, whose http.py would hide Python's
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import resource
import tempfile
import time
from typing import Final

import numpy as np
import pyarrow as pa

from models.bundle import load_bundle
from schemas.columns import LABELLED_PRODUCT, PRODUCT
from training.fit import fit_bundle

_SYLLABLES: Final = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "ar", "en", "ol")]
_ADJECTIVES: Final = 2_000
_BRANDS: Final = 2_000
_MISLEADING: Final = 0.02
_MIN_PRODUCTS: Final = 2
_ROWS_CLASSIFIED: Final = 10_000
_ROWS_AT_ONCE: Final = 2_000


class _Steps:
    """Prints each step with its time and the peak memory so far, to standard error."""

    def __init__(self) -> None:
        self._name, self._started = "", 0.0

    def step(self, name: str, total: int | None = None) -> None:
        """End the step before, and start one."""
        del total
        if self._name:
            seconds = time.monotonic() - self._started
            print(f"  {self._name}: {seconds:.1f} s, peak {_peak_gb():.2f} GB", file=sys.stderr, flush=True)
        self._name, self._started = name, time.monotonic()

    def advance(self, amount: int = 1) -> None:
        """Say nothing."""


def made_catalogue(n_products: int, n_categories: int, *, seed: int = 0) -> pa.Table:
    """Return labelled products, categories in turn. Deterministic."""
    random = np.random.default_rng(seed)
    n_words = 2 * n_categories + _ADJECTIVES + _BRANDS
    words = np.array(["".join(random.choice(_SYLLABLES, 3)) for _ in range(n_words)])
    nouns, adjectives, brands = np.split(words, [2 * n_categories, 2 * n_categories + _ADJECTIVES])
    nouns = nouns.reshape(n_categories, 2)
    category = np.arange(n_products) % n_categories
    seen_as = np.where(random.random(n_products) < _MISLEADING, (category + 1) % n_categories, category)
    noun = nouns[seen_as, random.integers(0, 2, n_products)]
    adjective = random.choice(adjectives, (n_products, 2))
    brand = random.choice(brands, n_products)
    model = random.integers(100, 9_999, n_products)
    side = max(2, round(n_categories ** (1 / 3)))
    paths = [[f"L1 {k % side}", f"L2 {k // side % side}", f"L3 {k}"] for k in range(n_categories)]
    columns: dict[str, object] = {
        "product_id": [f"p{row:07d}" for row in range(n_products)],
        "title": [
            f"{brand[row]} {adjective[row, 0]} {noun[row]} {adjective[row, 1]} {model[row]}"
            for row in range(n_products)
        ],
        "brand": brand.tolist(),
        "price_minor": (100 * (1 + category % 97) * random.uniform(0.7, 1.3, n_products)).astype(np.int64),
        "currency": ["EUR"] * n_products,
        "category_path": [paths[k] for k in category.tolist()],
    }
    arrays = [
        pa.array(columns[field.name], field.type) if field.name in columns else pa.nulls(n_products, field.type)
        for field in LABELLED_PRODUCT
    ]
    return pa.Table.from_arrays(arrays, schema=LABELLED_PRODUCT)


def measured(n_categories: int, n_products: int, folder: Path) -> dict[str, str]:
    """Train, load and classify once; return names and values."""
    products = made_catalogue(n_products, n_categories)
    steps = _Steps()
    started, cpu = time.monotonic(), time.process_time()
    result = fit_bundle(
        products,
        profile="text",
        seed=7,
        to=folder / "bundle",
        lineage={},
        progress=steps,
        min_products=_MIN_PRODUCTS,
        report_to=folder / "report",
    )
    steps.step("")
    evaluation = result.evaluation
    found = {
        "products": f"{n_products:,}",
        "classes": f"{len(result.labels.leaves):,}",
        "without": "; ".join(result.left_out) or "nothing left out",
        "training, wall": f"{time.monotonic() - started:.0f} s",
        "training, CPU": f"{time.process_time() - cpu:.0f} s",
        "peak memory": f"{_peak_gb():.1f} GB",
        "bundle": f"{_megabytes(folder / 'bundle')} MB",
        "report.html": f"{(folder / 'report' / 'report.html').stat().st_size / 1e6:.2f} MB",
        "accuracy": f"{evaluation.accuracy:.3f}",
        "coverage": f"{evaluation.coverage:.3f}",
        "precision": f"{evaluation.precision:.3f}",
        "calibration error": f"{evaluation.ece:.3f}",
    }
    started = time.monotonic()
    classifier = load_bundle(folder / "bundle")
    found["loading"] = f"{time.monotonic() - started:.1f} s"
    some = products.select(PRODUCT.names).slice(0, _ROWS_CLASSIFIED).combine_chunks()
    batches = some.to_batches(_ROWS_AT_ONCE)
    classifier.classify(batches[0])
    cpu = time.process_time()
    n_rows = sum(classifier.classify(batch).num_rows for batch in batches)
    found["classifying, CPU a product"] = f"{1e6 * (time.process_time() - cpu) / n_rows:.0f} µs"
    return found


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--categories", type=int, default=5_000)
    parser.add_argument("--products", type=int, default=50_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(arguments.categories, arguments.products, Path(folder))
    print(f"| {arguments.categories:,} categories | |\n| --- | --- |")
    for name, value in found.items():
        print(f"| {name} | {value} |")


def _megabytes(folder: Path) -> int:
    return round(sum(file.stat().st_size for file in folder.iterdir()) / 1e6)


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    main()
