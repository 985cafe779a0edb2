"""What becomes of products whose brand the model has never seen: whole brands are held out, not single products.

    python benchmarks/unseen.py                                # the sample catalogue, seeds 7, 0 and 1
    python benchmarks/unseen.py --data products.parquet --seeds 7

For each seed a fifth of the brands is chosen by hash, and all their products are taken away. A model is fitted,
calibrated and tested on the rest as `sortline train` does it. Then it is asked about the products of its own test
part (known brands, nearly all) and about those taken away, with the caution that it learned and without. Training
knows nothing of the products taken away. The baseline says the largest class of the other products each time.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # a script: in place of its folder, whose http.py would hide Python's
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.harness.product_events import SAMPLE
from models.bundle import load_bundle
from models.classifier import Classifier
from schemas.product_files import fold_title, read_products
from sortline.console import messages
from sortline.progress import StepProgress
from training.catalog import latest_products
from training.fit import fit_bundle
from training.outcomes import Outcomes, classify_labelled
from training.splits import TEST, assign_folds, assign_parts, groups_of
from training.true_paths import paths_of

_PARTS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What became of some products, by one model."""

    seed: int
    products: str
    way: str
    n: int
    baseline: float
    accuracy: float
    coverage: float
    precision: float
    mean_confidence: float


def main() -> int:
    """Measure, print a table, and return the exit code."""
    args = _arguments()
    with StepProgress(messages()) as progress:
        progress.step(f"Reading {args.data.name}")
        products = latest_products(read_products(args.data, labelled=True))
        rows: list[Row] = []
        for seed in args.seeds:
            rows += measure(
                products, seed=seed, profile=args.profile, target=args.target_precision, progress=progress
            )
    print(f"{args.data.name}: {products.num_rows:,} products, a fifth of the brands held out for each seed;")
    print(f"profile {args.profile}, target precision {args.target_precision}.\n\n{table(rows)}")
    return 0


def measure(products: pa.Table, *, seed: int, profile: str, target: float, progress: StepProgress) -> list[Row]:
    """Fit a model without a fifth of the brands and ask it about both kinds of products."""
    is_new = is_of_held_out_brand(products, seed=seed)
    groups = np.array(groups_of(products).to_pylist(), object)
    is_known = ~is_new & ~np.isin(groups, groups[is_new])  # a title is on one side, as in every split
    known, new = (products.filter(pa.array(chosen)) for chosen in (is_known, is_new))
    if not new.num_rows:
        raise SystemExit("the products have no brands, or all the same: there is nothing to hold out")
    with tempfile.TemporaryDirectory() as folder:
        fit_bundle(
            known,
            profile="classic" if profile == "classic" else "text",
            seed=seed,
            to=Path(folder) / "bundle",
            lineage={"source": "benchmarks/unseen.py"},
            progress=progress,
            target_precision=target,
        )
        classifier = load_bundle(Path(folder) / "bundle")
    is_test = assign_parts(groups_of(known), seed=seed) == TEST
    test, trained = (known.filter(pa.array(chosen)) for chosen in (is_test, ~is_test))
    sizes = Counter(paths_of(trained["category_path"]))
    largest = max(sorted(sizes), key=sizes.__getitem__)
    ways: Mapping[str, Classifier] = {"with caution": classifier, "without": replace(classifier, caution=None)}
    progress.step("Asking about known and new brands", 2 * len(ways))
    rows = []
    for name, asked in (("known brands", test), ("new brands", new)):
        for way, model in ways.items():
            rows.append(_row(classify_labelled(model, asked), asked, largest, seed=seed, products=name, way=way))
            progress.advance()
    return rows


def is_of_held_out_brand(products: pa.Table, *, seed: int) -> npt.NDArray[np.bool_]:
    """Tell of each product whether its brand is among the held-out fifth; never of one without brand."""
    brands = [fold_title(brand) if brand else "" for brand in products["brand"].to_pylist()]
    folds = assign_folds(pa.array([f"held out {brand}" for brand in brands]), _PARTS, seed=seed)
    return np.array([bool(brand) for brand in brands]) & (folds == 0)


def _row(
    outcomes: Outcomes, asked: pa.Table, largest: tuple[str, ...], *, seed: int, products: str, way: str
) -> Row:
    published = outcomes.is_published
    confidence = np.asarray(outcomes.decisions["confidence"])
    return Row(
        seed=seed,
        products=products,
        way=way,
        n=len(outcomes),
        baseline=float(np.mean([path == largest for path in paths_of(asked["category_path"])])),
        accuracy=float(outcomes.is_right.mean()),
        coverage=float(published.mean()),
        precision=float(outcomes.is_true[published].mean()) if published.any() else 1.0,
        mean_confidence=float(confidence[published].mean()) if published.any() else 1.0,
    )


def table(rows: list[Row]) -> str:
    """Return a Markdown table."""
    lines = [
        "| seed | products | n | largest class | way | accuracy | published | of these right | mean confidence |",
        "| --- " * 9 + "|",
    ]
    for row in rows:
        numbers = (row.accuracy, row.coverage, row.precision, row.mean_confidence)
        cells = " | ".join(f"{number:.3f}" for number in numbers)
        lines.append(f"| {row.seed} | {row.products} | {row.n:,} | {row.baseline:.3f} | {row.way} | {cells} |")
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--data", type=Path, default=SAMPLE, help="labelled products: Parquet, CSV, JSON Lines")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[7, 0, 1], help="of the brands, the split, the fit"
    )
    parser.add_argument("--profile", choices=["text", "classic"], default="text")
    parser.add_argument("--target-precision", type=float, default=0.95)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
