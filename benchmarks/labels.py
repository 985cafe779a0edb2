"""How well `sortline labels audit` finds labels that were made wrong on purpose.

    python benchmarks/labels.py FILE --kind uniform --rate 0.02 0.05 0.1 --seeds 1 2 3

Some labels are replaced: by any other class (`uniform`), or by the class that the model mixes theirs up with most
(`similar`). Then the rows are ranked in several ways, from the same out-of-fold probabilities:

    audit             what the command does: `training.label_audit.rank_suspects`
    self-confidence   lowest probability of the label, all rows
    margin            lowest difference to the most probable other class, all rows
    below threshold   lowest probability less the mean of its class, all rows
    suspects by ...   those that the audit lists, in one of these orders
    random            any order: the share of wrong labels

`p@100` is the share of the first hundred that was made wrong, `recall` the share of all that were which is among
as many first rows. Labels that were wrong before count against both.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # a script: in place of its folder, whose http.py would hide Python's
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
from collections import defaultdict

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.matrix import vectorize
from features.prices import fit_price_edges
from features.spec import text_spec
from models.calibration import Calibration
from schemas.columns import PRODUCT
from schemas.product_files import read_products
from training.catalog import latest_products
from training.label_audit import rank_suspects
from training.labels import EXCLUDED, merge_small_categories
from training.outcomes import as_batch
from training.progress import SilentProgress
from training.splits import assign_folds, groups_of
from training.text_fit import fit_text_model
from training.true_paths import paths_of

_FOLDS = 4
_FIRST = 100

Probabilities = npt.NDArray[np.float64]
Classes = npt.NDArray[np.int32]
Rows = npt.NDArray[np.int64]


class Catalogue:
    """Products that can be judged, with their features: computed once for all fits."""

    def __init__(self, file: Path, min_products: int, levels: int) -> None:
        products = latest_products(read_products(file, labelled=True))
        paths = [path[:levels] for path in paths_of(products["category_path"])]
        labels = merge_small_categories(paths, is_train=np.ones(len(paths), np.bool_), min_products=min_products)
        is_trained = labels.targets != EXCLUDED
        products = products.filter(pa.array(is_trained))
        self.targets: Classes = labels.targets[is_trained]
        self.n_classes = len(labels.leaves)
        self._groups = groups_of(products)
        self._spec = text_spec(fit_price_edges(products))
        self._tokens = vectorize(as_batch(products.select(PRODUCT.names)), self._spec).tokens

    def out_of_fold(self, targets: Classes, seed: int) -> Probabilities:
        """Return calibrated probabilities (n, n_classes) by models that did not see a row's fold."""
        fitted = fit_text_model(
            self._tokens,
            targets,
            assign_folds(self._groups, _FOLDS, seed=seed),
            spec=self._spec,
            n_classes=self.n_classes,
            seed=seed,
            progress=SilentProgress(),
        )
        return Calibration().probabilities(fitted.out_of_fold)


def rankings(probabilities: Probabilities, targets: Classes) -> dict[str, Rows]:
    """Return the rows in the order of each way; the audit's holds its suspects only."""
    rows = np.arange(len(targets))
    own = probabilities[rows, targets]
    others = probabilities.copy()
    others[rows, targets] = -1
    means = np.array(
        [own[targets == k].mean() if (targets == k).any() else 1.0 for k in range(probabilities.shape[1])]
    )
    ways = {"self-confidence": own, "margin": own - others.max(axis=1), "below threshold": own - means[targets]}
    audit = rank_suspects(probabilities, targets).rows
    ordered = {name: np.argsort(value, kind="stable") for name, value in ways.items()}
    for name in ("margin", "below threshold"):
        ordered[f"suspects by {name}"] = audit[np.argsort(ways[name][audit], kind="stable")]
    return {"audit": audit, **ordered}


def main() -> None:
    """Print a line for each kind, rate and way: means over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--kind", choices=("uniform", "similar"), nargs="+", default=["uniform", "similar"])
    parser.add_argument("--rate", type=float, nargs="+", default=[0.02, 0.05, 0.1])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--min-products", type=int, default=20)
    parser.add_argument("--levels", type=int, default=99, help="cut category paths to so many levels")
    arguments = parser.parse_args()
    catalogue = Catalogue(arguments.file, arguments.min_products, arguments.levels)
    truth, n_classes = catalogue.targets, catalogue.n_classes
    clean = catalogue.out_of_fold(truth, seed=0)
    print(
        f"{len(truth):,} products, {n_classes} classes, out-of-fold accuracy "
        f"{(clean.argmax(axis=1) == truth).mean():.4f}, suspects in it as it is: "
        f"{len(rank_suspects(clean, truth).rows):,}"
    )
    said = np.array([clean[truth == k].mean(axis=0) for k in range(n_classes)])
    np.fill_diagonal(said, -1)
    similar = said.argmax(axis=1).astype(np.int32)
    for kind in arguments.kind:
        for rate in arguments.rate:
            figures: dict[str, list[tuple[float, float]]] = defaultdict(list)
            lengths = []
            for seed in arguments.seeds:
                random = np.random.default_rng(1000 + seed)
                wrong = random.choice(len(truth), round(rate * len(truth)), replace=False)
                targets = truth.copy()
                targets[wrong] = (
                    (truth[wrong] + random.integers(1, n_classes, len(wrong))) % n_classes
                    if kind == "uniform"
                    else similar[truth[wrong]]
                )
                is_wrong = targets != truth
                for way, order in rankings(catalogue.out_of_fold(targets, seed), targets).items():
                    found = is_wrong[order]
                    figures[way].append((found[:_FIRST].mean(), found[: len(wrong)].sum() / len(wrong)))
                    if way == "audit":
                        lengths.append((len(order) / len(wrong), found.mean(), found.sum() / len(wrong)))
            length, precision, recall = np.mean(lengths, axis=0)
            print(
                f"{kind} {rate:.0%}: the list has {length:.2f} times as many rows as were made wrong; precision "
                f"{precision:.3f}, recall {recall:.3f}"
            )
            for way, pairs in {**figures, "random": [(rate, rate)]}.items():
                first, recall = np.mean(pairs, axis=0)
                least = min(pair[0] for pair in pairs)
                print(f"  {way:<28} p@100 {first:.3f} (least {least:.2f})  recall {recall:.3f}", flush=True)


if __name__ == "__main__":
    main()
