"""The benchmark in the small: every way that can be had here does the same work, and is measured."""

import contextlib
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks.harness.figures import summaries
from benchmarks.harness.product_events import event_values
from benchmarks.harness.report import circumstances, throughput_report, throughput_table
from benchmarks.harness.steady_rate import measure_latency
from benchmarks.harness.surroundings import own_topics, peer_pythons
from benchmarks.harness.ways import Surroundings, way
from benchmarks.peers.plain_model import export
from benchmarks.stream import run
from models.bundle import load_bundle
from schemas.registry import ConfluentRegistry
from tests.tiny_model import build_tiny_bundle

pytestmark = pytest.mark.integration

#: Without Quix Streams: the benchmark itself makes its environment, and a test run should not need a second one.
WAYS = [way(name) for name in ("floor", "at-least-once", "exactly-once", "plain", "faust")]


@pytest.fixture(scope="module")
def pythons() -> Mapping[str, Path]:
    try:
        return peer_pythons(WAYS, print)
    except (subprocess.CalledProcessError, OSError) as error:
        pytest.skip(f"the peers' packages cannot be installed here: {error}")


@pytest.fixture
def around(bootstrap: str, registry_url: str, pythons: Mapping[str, Path], tmp_path: Path) -> Surroundings:
    bundle = build_tiny_bundle(tmp_path / "bundle", threshold=0.6)
    return Surroundings(
        bootstrap=bootstrap,
        registry=registry_url,
        bundle=bundle,
        plain_model=export(load_bundle(bundle), tmp_path / "plain"),
        folder=tmp_path,
        pythons=pythons,
    )


def test_all_ways_give_the_same_categories_and_are_measured(around: Surroundings) -> None:
    rounds = run(WAYS, around, repetitions=1, events=40_000, peer_events=1_500, partitions=3, say=print)
    table = throughput_table(throughput_report(circumstances(["test"], around.pythons), summaries(rounds)))
    for one in WAYS:
        assert rounds[0][one.name].cpu_seconds > 0
        assert 0 < rounds[0][one.name].events <= 40_000
        assert f"| {one.title} |" in table
    assert rounds[0]["exactly-once"].counters["sortline_records_total"] == 40_000


def test_latency_is_measured_from_the_producer_to_the_subscriber(around: Surroundings) -> None:
    with (
        contextlib.closing(ConfluentRegistry(around.registry)) as registry,
        own_topics(around.bootstrap, registry, 3) as names,
    ):
        keys, values = event_values(registry, names, 601)
        found = measure_latency(
            way("floor"), around, names=names, keys=keys, values=values, rate=300.0, warm_up_seconds=1.0
        )
    assert found.missing == 0
    assert found.events == 300
    assert 0 < found.milliseconds["p50"] <= found.milliseconds["max"]
