"""The servers that answer predictions over HTTP: how each is started and spoken to."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from pydantic_core import to_json

from benchmarks.harness.http_load import HOST
from benchmarks.harness.processes import Running, run_process
from compose.sockets import free_ports

_PEERS: Final = Path(__file__).resolve().parents[1] / "peers"
_START_SECONDS: Final = 120.0

Products = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpWay:
    """A server.

    Attributes:
        name: on the command line and in the JSON file.
        title: in the tables.
        command: what starts it on a port, given what `Models` has.
        paths: for one product, and for several.
        body: of a request for one product if there is one, and otherwise for several.
        categories: of an answer to several products, in order; None for the floor, which decides nothing.
    """

    name: str
    title: str
    command: Callable[[int, Models], Sequence[str]]
    paths: tuple[str, str] = ("/predict", "/predict/batch")
    body: Callable[[Products], Any] = lambda products: (
        products[0] if len(products) == 1 else {"products": products}
    )
    categories: Callable[[Any], list[list[str]]] | None = lambda answer: [
        result["category_path"] for result in answer["results"]
    ]

    def path(self, n_products: int) -> str:
        """Return where so many products are sent to."""
        return self.paths[n_products > 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """One model in the form that each server takes.

    Attributes:
        bundle: for the gateway.
        plain: as `plain_model.export` wrote it.
        pyfunc: as MLflow keeps it.
    """

    bundle: Path
    plain: Path
    pyfunc: Path


HTTP_WAYS: Final = (
    HttpWay(
        name="floor",
        title="uvicorn, no framework, no work",
        command=lambda port, _: [sys.executable, str(_PEERS / "bare_http.py"), str(port)],
        categories=None,
    ),
    HttpWay(
        name="gateway",
        title="`sortline serve`",
        command=lambda port, models: [
            *(sys.executable, "-m", "sortline", "serve", "--port", str(port)),
            *("--model", str(models.bundle)),
        ],
    ),
    HttpWay(
        name="plain",
        title="plain FastAPI app",
        command=lambda port, models: [
            *(sys.executable, str(_PEERS / "plain_http.py"), str(port)),
            str(models.plain),
        ],
    ),
    HttpWay(
        name="mlflow",
        title="`mlflow models serve`, the same model",
        command=lambda port, models: [
            *(sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local"),
            *("--port", str(port), "--model-uri", str(models.pyfunc)),
        ],
        paths=("/invocations", "/invocations"),
        body=lambda products: {"dataframe_records": products},
        categories=lambda answer: [row["category_path"] for row in answer["predictions"]],
    ),
)


@contextlib.contextmanager
def serving(one: HttpWay, models: Models, folder: Path, products: Products) -> Iterator[tuple[Running, int]]:
    """Start a server, wait until it answers about the products, and give its process and port; ended afterwards.

    Raises SystemExit if it does not answer within two minutes or ends by itself.
    """
    (port,) = free_ports(1)
    with run_process(one.command(port, models), folder / f"{one.name}.log") as process:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(one, port, products):
            process.check()
            if time.monotonic() > deadline:
                raise SystemExit(f"{one.name} does not answer: {process.log_file.read_text()[-2_000:]}")
            time.sleep(0.2)
        yield process, port


def ask(one: HttpWay, port: int, products: Products) -> Any:
    """Return the answer about some products. Raises httpx.HTTPError."""
    answer = httpx.post(
        f"http://{HOST}:{port}{one.path(len(products))}",
        content=to_json(one.body(products)),
        headers={"Content-Type": "application/json"},
        timeout=60.0,
    )
    return answer.raise_for_status().json() if one.categories else None


def _answers(one: HttpWay, port: int, products: Products) -> bool:
    try:
        ask(one, port, products)
    except httpx.TransportError:
        return False
    return True
