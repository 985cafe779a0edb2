"""How accurate the models are, beside plain linear machines: catalogues x seeds of the split x ways.

    python benchmarks/quality.py                      # the sample catalogue that ships, three seeds
    python benchmarks/quality.py --data DIR           # the catalogues in DIR: pcparts, flipkart, pricerunner
    python benchmarks/quality.py --data DIR --save    # also benchmarks/results/quality.json and docs/accuracy.md

Products are split by group (the file's column `group`, or the folded title): 64 % to fit, 16 % to calibrate, 20 %
to test. Every way sees the same products of the same categories in the same split, and no setting of any was
chosen on a test part. A cell is the mean over the seeds, in parentheses the lowest and the highest. Times are CPU
time.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # a script: in place of its folder, whose http.py would hide Python's
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from benchmarks.harness import report
from benchmarks.harness.catalogues import CATALOGUES, Catalogue, find_file, read_catalogue
from benchmarks.harness.classifiers import TITLES, measure

_PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "accuracy.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, and return the exit code: 1 if there is no catalogue to measure on."""
    args = _arguments(arguments)
    found: list[dict[str, Any]] = []
    for catalogue in CATALOGUES:
        file = find_file(catalogue, args.data)
        if file is None:
            where = f"in {args.data.name}" if args.data else "in this repository (--data DIR names where it is)"
            _tell(
                f"{catalogue.name} ({catalogue.title}) is left out: there is no {catalogue.name}.parquet {where}."
            )
            continue
        ways = [way for way in args.ways if catalogue.ways is None or way in catalogue.ways]
        found.append(_measured(catalogue, file, args.seeds, ways))
    if not found:
        return 1
    result = {
        **report.circumstances(report.command_line("benchmarks/quality.py", sys.argv[1:]), {}),
        "seeds": args.seeds,
        "catalogues": found,
    }
    print(table(result))
    if args.json:
        report.write_json(args.json, result)
    if args.save:
        report.save("quality", result, table(result), page=_PAGE)
    return 0


def _measured(catalogue: Catalogue, file: Path, seeds: Sequence[int], ways: Sequence[str]) -> dict[str, Any]:
    products = read_catalogue(catalogue, file)
    runs = []
    for seed in seeds:
        since = time.monotonic()

        def started(way: str, seed: int = seed, since: float = since) -> None:
            _tell(f"{catalogue.name}, seed {seed}: {way} ({time.monotonic() - since:.0f} s so far)")

        runs += [{"seed": seed, **asdict(outcome)} for outcome in measure(products, seed, ways, started)]
    return {
        "name": catalogue.name,
        "title": catalogue.title,
        "products": products.num_rows,
        "categories": len(set(map(tuple, products["category_path"].to_pylist()))),
        "runs": runs,
    }


def table(result: Mapping[str, Any]) -> str:
    """Return the Markdown table of a result, a part for each catalogue."""
    parts = []
    for one in result["catalogues"]:
        lines = [
            f"{one['title'].capitalize()}: {one['products']:,} products, {one['categories']} categories.",
            "",
            f"| {' | '.join(_HEADINGS)} |",
            "| --- " * len(_HEADINGS) + "|",
        ]
        for way, title in TITLES.items():
            if runs := [run for run in one["runs"] if run["way"] == way]:
                cells = [_share([run[name] for run in runs]) for name in _SHARES]
                costs = [_mean([run[name] for run in runs]) for name in ("fit_seconds", "event_us")]
                lines.append(f"| {title} | {' | '.join(cells)} | {costs[0]:.0f} | {costs[1]:.1f} |")
        parts.append("\n".join(lines))
    seeds = ", ".join(str(seed) for seed in result["seeds"])
    told = f"Mean over the seeds {seeds} (lowest–highest). {report.told(result)}"
    return "\n\n".join([*parts, told])


_HEADINGS: Final = (
    *("way", "accuracy", "macro-F1", "calibration error"),
    *("coverage", "as leaf", "precision", "fit s", "µs an event"),
)
_SHARES: Final = ("accuracy", "macro_f1", "ece", "coverage", "as_leaf", "precision")


def _share(values: Sequence[float | None]) -> str:
    """Return mean and range of shares.

    >>> _share([0.5, 0.75]), _share([1.0]), _share([None])
    ('.625 (.500–.750)', '1.000', '–')
    """
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    mean, low, high = (f"{value:.3f}".removeprefix("0") for value in (_mean(known), min(known), max(known)))
    return mean if low == high else f"{mean} ({low}–{high})"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--data", type=Path, help="folder of the catalogues (default: only the one that ships)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the split and the fit")
    parser.add_argument("--ways", nargs="+", choices=list(TITLES), default=list(TITLES))
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results and docs/accuracy.md")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
