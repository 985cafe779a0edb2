"""What trees cost: bit vectors beside LightGBM's own `predict`, as the classes become more.

    python benchmarks/trees.py                                     # 20 to 300 classes, generated rows
    python benchmarks/trees.py --model DIR                         # also the trees of a bundle, sample catalogue
    python benchmarks/trees.py --json trees.json --picture trees.svg

Every number of classes gets trees of its own: 20 rounds of 15 leaves, fitted on generated rows with missing
values. CPU time of this process (all of it: LightGBM runs one thread), best of the rounds, in which all ways and
all numbers of classes take turns. A call scores 2,000 rows that were not fitted on. Nothing is measured unless bit
vectors and `predict` in chunks give the same scores bit for bit, and one `predict`, which adds up in another
order, the same but for the last bits.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # a script: in place of its folder, whose http.py would hide Python's
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import lightgbm
import numpy as np
import numpy.typing as npt

from benchmarks.harness import report
from benchmarks.harness.product_events import SAMPLE
from features.matrix import vectorize
from models.bundle import load_bundle
from models.lightgbm_scorer import LightGBMScorer
from models.trees import TREES_PER_SUM, Trees
from schemas import columns
from schemas.product_files import read_products

_WAYS: Final = ("bit vectors", "one predict", "predict in chunks")
_N_FEATURES: Final = 19
_FITTED_ROWS: Final = 20_000
_SEED: Final = 5

Dense = npt.NDArray[np.float32]
Score = Callable[[Dense], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Trees, three ways to score them, and rows that are scored so many a call, the next ones with each call."""

    name: str
    n_classes: int
    n_trees: int
    rows: Dense
    n_rows: int
    ways: dict[str, Score]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """CPU µs a row of one case, by way."""

    name: str
    n_classes: int
    n_trees: int
    n_rows: int
    cpu_us: dict[str, float]


def main() -> int:
    """Measure, print a table, and return the exit code."""
    args = _arguments()
    cases = [generated_case(n_classes, args.rounds_fitted, args.rows) for n_classes in args.classes]
    curve = measure(cases, args.rounds)
    found: dict[str, Any] = {
        **report.circumstances(report.command_line("benchmarks/trees.py", sys.argv[1:]), {}),
        "classes": [asdict(cost) for cost in curve],
        "growth": {way: curve[-1].cpu_us[way] / curve[0].cpu_us[way] for way in _WAYS},
    }
    print(table(curve))
    growth = ", ".join(f"{way} {times:.1f}" for way, times in found["growth"].items())
    print(f"\nFrom {curve[0].n_classes} to {curve[-1].n_classes} classes the cost grows by: {growth}.")
    if args.model:
        costs = measure(bundle_cases(args.model, [1, 16, args.rows]), args.rounds)
        found["model"] = [asdict(cost) for cost in costs]
        print("\n" + table(costs))
    if args.json:
        report.write_json(args.json, found)
    if args.picture:
        draw(curve, args.picture)
    return 0


def generated_case(n_classes: int, n_rounds: int, n_rows: int) -> Case:
    """Fit trees of 15 leaves for so many classes, which the rows tell apart about half of the time."""
    random = np.random.default_rng(_SEED)
    dense = random.lognormal(size=(_FITTED_ROWS + n_rows, _N_FEATURES)).astype(np.float32)
    dense[:, :4] = random.integers(0, 1000, (len(dense), 4))
    dense[:, 12:] = random.random((len(dense), _N_FEATURES - 12)) < 0.1
    ranks = np.argsort(np.argsort(dense[:, 0] + 300 * dense[:, 4] + 100 * random.normal(size=len(dense))))
    classes = ranks * n_classes // len(dense)
    dense[:, 4:10][random.random((len(dense), 6)) < 0.1] = np.nan
    booster = lightgbm.train(
        {
            "objective": "multiclass",
            "num_class": n_classes,
            "num_leaves": 15,
            "min_data_in_leaf": 5,
            "learning_rate": 0.1,
            "lambda_l2": 10.0,
            "num_threads": 1,
            "verbosity": -1,
        },
        lightgbm.Dataset(dense[:_FITTED_ROWS], classes[:_FITTED_ROWS]),
        num_boost_round=n_rounds,
    )
    return _case("generated", Trees.from_booster(booster, n_classes=n_classes), dense[_FITTED_ROWS:], n_rows)


def bundle_cases(folder: Path, sizes: Sequence[int]) -> list[Case]:
    """Return the trees of a bundle with calls of so many products of the sample catalogue."""
    classifier = load_bundle(folder)
    products = read_products(SAMPLE, labelled=True, limit=max(sizes))
    batch = products.select(columns.PRODUCT.names).combine_chunks().to_batches()[0]
    dense = vectorize(batch, classifier.spec).dense
    return [_case("sample catalogue", classifier.trees, dense, size) for size in sizes]


def _case(name: str, trees: Trees, rows: Dense, n_rows: int) -> Case:
    if trees.scorer != "bit-vectors":
        raise SystemExit(f"bit vectors do not score these trees: {trees.fallback_reason}")
    booster = lightgbm.Booster(model_str=trees.model_text)
    per_sum = max(1, TREES_PER_SUM // trees.n_classes)
    chunks = LightGBMScorer.from_text(trees.model_text, iterations_per_sum=per_sum)
    ways: dict[str, Score] = {
        "bit vectors": trees.raw_scores,
        "one predict": lambda dense: booster.predict(dense, raw_score=True, num_threads=1),
        "predict in chunks": chunks.raw_scores,
    }
    found = [np.asarray(score(rows)) for score in ways.values()]
    if not (np.array_equal(found[0], found[2]) and np.allclose(found[0], found[1], rtol=1e-9, atol=1e-9)):
        raise SystemExit(f"the ways differ on {name} with {trees.n_classes} classes")
    return Case(name=name, n_classes=trees.n_classes, n_trees=trees.n_trees, rows=rows, n_rows=n_rows, ways=ways)


def measure(cases: Sequence[Case], n_rounds: int) -> list[Cost]:
    """Let all ways of all cases take turns, and return the best of each."""
    best = [dict.fromkeys(_WAYS, float("inf")) for _ in cases]
    for _ in range(n_rounds):
        for case, found in zip(cases, best, strict=True):
            for way, score in case.ways.items():
                found[way] = min(found[way], _cpu_us(score, case.rows, case.n_rows))
    return [
        Cost(name=case.name, n_classes=case.n_classes, n_trees=case.n_trees, n_rows=case.n_rows, cpu_us=found)
        for case, found in zip(cases, best, strict=True)
    ]


def _cpu_us(score: Score, rows: Dense, n_rows: int) -> float:
    """Return CPU µs a row over as many calls as take a twentieth of a second, after one that is not counted.

    Calls go on through the rows: of a few that come again and again, the processor learns how to branch.
    """
    score(rows[:n_rows])
    n_calls = 0
    start = time.process_time()
    while (spent := time.process_time() - start) < 0.05:
        at = n_calls * n_rows % (len(rows) - n_rows + 1)
        score(rows[at : at + n_rows])
        n_calls += 1
    return spent / n_calls / n_rows * 1e6


def table(costs: Sequence[Cost]) -> str:
    """Return a Markdown table, CPU µs a row."""
    lines = [
        f"| rows | classes | trees | {' | '.join(_WAYS)} | predict ÷ bit vectors |",
        "| --- " * (len(_WAYS) + 4) + "|",
    ]
    for cost in costs:
        cells = " | ".join(f"{cost.cpu_us[way]:.2f}" for way in _WAYS)
        ratio = cost.cpu_us["one predict"] / cost.cpu_us["bit vectors"]
        lines.append(f"| {cost.n_rows:,} | {cost.n_classes} | {cost.n_trees:,} | {cells} | {ratio:.0f} |")
    return "\n".join(lines)


def draw(curve: Sequence[Cost], to: Path) -> None:
    """Draw cost over classes, both axes logarithmic: growth in proportion is a straight line, one to one."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    classes = [cost.n_classes for cost in curve]
    for way in _WAYS:
        axes.plot(classes, [cost.cpu_us[way] for cost in curve], marker="o", label=way)
    axes.set(xscale="log", yscale="log", xlabel="classes (20 rounds of 15 leaves)", ylabel="CPU µs a row")
    axes.set_xticks(classes, [str(n) for n in classes])
    axes.minorticks_off()
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    figure.savefig(to, metadata={"Date": None} if to.suffix == ".svg" else None)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--classes", type=int, nargs="+", default=[20, 40, 80, 150, 300])
    parser.add_argument("--rounds-fitted", type=int, default=20, help="iterations of each model")
    parser.add_argument("--rows", type=int, default=2_000, help="rows a call")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each way")
    parser.add_argument("--model", type=Path, help="a bundle whose trees are measured, too")
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--picture", type=Path, help="draw the curve here (.svg)")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
