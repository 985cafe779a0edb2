"""Predictions over HTTP: latency, requests and products a second, CPU; beside a floor and two peers.

    python benchmarks/http.py                    # trains a model on the sample catalogue
    python benchmarks/http.py --model DIR --ways floor gateway --seconds 10

For each server and each load (connections x products a request) a generator in a process of its own, closed loop.
One server runs at a time, and all loads are put on it in turn; rounds repeat all servers. All classify with one
model, and are asked about the same products first: their categories must be the same.
"""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # a script: in place of its folder, whose http.py would hide Python's
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import argparse
import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from pydantic_core import to_json

from benchmarks.harness import report
from benchmarks.harness.figures import Spread, percentiles
from benchmarks.harness.http_load import ApplyLoad, Load, generator, request
from benchmarks.harness.http_ways import HTTP_WAYS, HttpWay, Models, Products, ask, serving
from benchmarks.harness.product_events import products as sample_products
from benchmarks.harness.surroundings import train_on_sample
from benchmarks.peers.plain_model import export
from models.bundle import load_bundle
from models.registry import download, log_bundle

#: Connections and products a request.
_LOADS: Final = ((1, 1), (16, 1), (64, 1), (1, 100), (4, 100))
_N_PRODUCTS: Final = 10_000
_N_COMPARED: Final = 200
_FLOOR: Final = "floor"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRun:
    """One server under one load.

    Attributes:
        products: in a request.
        requests_per_second: answered in the measured time.
        milliseconds: p50, p99, p99.9 and max of a request.
        cpu_us: of the server's processes, a product.
    """

    way: str
    connections: int
    products: int
    requests_per_second: float
    milliseconds: dict[str, float]
    cpu_us: float


def main() -> int:
    """Measure, print a table, and return the exit code."""
    args = _arguments()
    ways = [one for one in HTTP_WAYS if one.name in args.ways]
    with tempfile.TemporaryDirectory(prefix="sortline-bench-") as name:
        folder = Path(name)
        bundle = args.model.absolute() if args.model else train_on_sample(folder / "bundle", _say)
        models = Models(
            bundle=bundle,
            plain=export(load_bundle(bundle), folder / "plain"),
            pyfunc=_pyfunc(bundle, folder) if any(one.name == "mlflow" for one in ways) else folder,
        )
        with generator() as apply_load:
            runs = run(
                ways,
                models,
                folder,
                apply_load,
                repetitions=args.repetitions,
                seconds=args.seconds,
                warm_up=args.warm_up,
            )
    found = {
        **report.circumstances(report.command_line("benchmarks/http.py", sys.argv[1:]), {}),
        "repetitions": args.repetitions,
        "seconds": args.seconds,
        "runs": [asdict(one) for one in runs],
    }
    print(table(found))
    if args.json:
        report.write_json(args.json, found)
    if args.save:
        report.save("http", found, table(found))
    return 0


def run(
    ways: Sequence[HttpWay],
    models: Models,
    folder: Path,
    apply_load: ApplyLoad,
    *,
    repetitions: int,
    seconds: float,
    warm_up: float,
    loads: Sequence[tuple[int, int]] = _LOADS,
) -> list[HttpRun]:
    """Return a run of each server under each load in each repetition. Raises SystemExit if categories differ."""
    some = _as_json(_N_PRODUCTS)
    expected: list[list[str]] | None = None
    runs = []
    for _ in range(repetitions):
        for one in ways:
            with serving(one, models, folder, some[:2]) as (process, port):
                answer = ask(one, port, some[:_N_COMPARED])
                if one.categories is not None:
                    categories = one.categories(answer)
                    if categories != (expected := expected or categories):
                        raise SystemExit(f"{one.name} decides otherwise than {ways[0].name}")
                for connections, n_products in loads:
                    load = Load(connections=connections, seconds=seconds, warm_up_seconds=warm_up)
                    requests = _requests(one, some, n_products)
                    before = process.cpu_seconds()
                    answered = apply_load(port, requests, load)
                    cpu = process.cpu_seconds() - before
                    runs.append(
                        HttpRun(
                            way=one.name,
                            connections=connections,
                            products=n_products,
                            requests_per_second=len(answered.milliseconds) / seconds,
                            milliseconds=percentiles(answered.milliseconds),
                            cpu_us=cpu / (answered.n_all * n_products) * 1e6,
                        )
                    )
                    _say(_told(runs[-1]))
    return runs


def table(found: Mapping[str, Any]) -> str:
    """Return the Markdown table: a part for each load; a cell is the median of the rounds and their range."""
    titles = {one.name: one.title for one in HTTP_WAYS}
    parts = []
    for load in dict.fromkeys((run["connections"], run["products"]) for run in found["runs"]):
        connections, products = load
        of_load = [run for run in found["runs"] if (run["connections"], run["products"]) == load]
        cpu = {name: [run["cpu_us"] for run in of_load if run["way"] == name] for name in titles}
        each = "a product" if products == 1 else f"batches of {products} products"
        lines = [
            f"{connections} connection{'s' * (connections > 1)}, {each} a request:",
            "",
            "| way | requests/s | products/s | p50 ms | p99 ms | p99.9 ms | CPU µs a product | ÷ floor's |",
            "| --- " * 8 + "|",
        ]
        for name, title in titles.items():
            if not cpu[name]:
                continue
            mine = [run for run in of_load if run["way"] == name]
            rates = [run["requests_per_second"] for run in mine]
            ratios = [a / b for a, b in zip(cpu[name], cpu[_FLOOR], strict=True)] if cpu[_FLOOR] else []
            figures = [
                rates,
                [rate * products for rate in rates],
                *([run["milliseconds"][share] for run in mine] for share in ("p50", "p99", "p99.9")),
                cpu[name],
                ratios,
            ]
            cells = [report.cell(asdict(Spread.of(some)) if some else None) for some in figures]
            lines.append(f"| {title} | {' | '.join(cells)} |")
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, report.told(found)])


def _requests(one: HttpWay, products: Products, n_products: int) -> list[bytes]:
    groups = (products[start : start + n_products] for start in range(0, len(products), n_products))
    return [request(one.path(n_products), to_json(one.body(group))) for group in groups]


def _as_json(n_products: int) -> list[dict[str, Any]]:
    rows = sample_products(n_products).to_pylist()
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def _pyfunc(bundle: Path, folder: Path) -> Path:
    """Return a folder in which MLflow has the bundle as a model."""
    store = f"sqlite:///{folder / 'mlflow.db'}"
    with contextlib.chdir(folder):  # where MLflow puts artifacts of a store that is a file
        logged = log_bundle(bundle, tracking_uri=store)
        return download(logged.model_uri, folder / "pyfunc", tracking_uri=store)


def _told(one: HttpRun) -> str:
    return (
        f"{one.way}, {one.connections} x {one.products}: {one.requests_per_second:,.0f} requests/s, "
        f"p50 {one.milliseconds['p50']:.2f} ms, p99 {one.milliseconds['p99']:.2f} ms, "
        f"{one.cpu_us:.1f} µs a product"
    )


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [one.name for one in HTTP_WAYS]
    parser.add_argument("--model", type=Path, help="folder of a bundle; otherwise one is trained on the sample")
    parser.add_argument("--ways", nargs="+", choices=names, default=names, help="one or more; all")
    parser.add_argument("--repetitions", type=int, default=3, help="rounds of all ways")
    parser.add_argument("--seconds", type=float, default=5.0, help="measured, for each load")
    parser.add_argument("--warm-up", type=float, default=1.0, help="seconds before that are not measured")
    parser.add_argument("--json", type=Path, help="also write the report there")
    parser.add_argument(
        "--save", action="store_true", help="write the report to benchmarks/results and docs/performance.md"
    )
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
