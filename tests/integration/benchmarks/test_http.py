"""The HTTP benchmark in the small: the gateway, a peer and the floor, as processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.harness.http_load import apply_load
from benchmarks.harness.http_ways import HTTP_WAYS, Models
from benchmarks.http import run
from benchmarks.peers.plain_model import export
from models.bundle import load_bundle
from tests.tiny_model import build_tiny_bundle

pytestmark = pytest.mark.integration  # needs no broker; starts three servers


def test_the_gateway_the_peer_and_the_floor_are_measured_on_the_same_products(tmp_path: Path) -> None:
    bundle = build_tiny_bundle(tmp_path / "bundle", threshold=0.6)
    models = Models(bundle=bundle, plain=export(load_bundle(bundle), tmp_path / "plain"), pyfunc=tmp_path)
    ways = [one for one in HTTP_WAYS if one.name != "mlflow"]  # it takes half a minute to start
    runs = run(
        *(ways, models, tmp_path, apply_load),
        repetitions=1,
        seconds=0.3,
        warm_up=0.1,
        loads=[(2, 1), (1, 50)],
    )

    assert [(one.way, one.connections, one.products) for one in runs] == [
        (way.name, *load) for way in ways for load in ((2, 1), (1, 50))
    ]
    assert all(one.requests_per_second > 0 and one.cpu_us > 0 for one in runs if one.way != "floor")
