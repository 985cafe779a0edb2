import doctest
import importlib

import numpy as np
import pytest

from benchmarks.harness.backlog import Measured
from benchmarks.harness.figures import percentiles, regressions, summaries


def run(way: str, cpu_us: float, events_per_second: float = 1_000.0) -> Measured:
    return Measured(
        way=way,
        events=1_000,
        wall_seconds=1_000 / events_per_second,
        cpu_seconds=cpu_us / 1_000,
        start_seconds=1.0,
    )


def report(floor: float, worker: float, plain: float) -> dict[str, object]:
    def spread(value: float) -> dict[str, float]:
        return {"median": value, "low": value, "high": value}

    ways = {"floor": floor, "at-least-once": worker, "plain": plain}
    return {
        "ways": [
            {"way": way, "cpu_to_floor": spread(cpu / floor), "plain_to_cpu": spread(plain / cpu)}
            for way, cpu in ways.items()
        ]
    }


@pytest.mark.parametrize("name", ["figures", "report", "backlog", "offsets", "process_cpu", "product_events"])
def test_the_examples_of_the_harness_hold(name: str) -> None:
    result = doctest.testmod(importlib.import_module(f"benchmarks.harness.{name}"))
    assert result.attempted
    assert not result.failed


def test_figures_of_a_run_are_per_event() -> None:
    measured = run("floor", cpu_us=5.0, events_per_second=200.0)
    assert measured.cpu_us == pytest.approx(5.0)
    assert measured.events_per_second == pytest.approx(200.0)


def test_ratios_are_taken_within_a_round() -> None:
    # The second round is disturbed: everything takes twice as long in it, and no ratio changes.
    rounds = [{"floor": run("floor", 4.0 * busy), "plain": run("plain", 100.0 * busy)} for busy in (1, 2, 1)]
    floor, plain = summaries(rounds)
    assert plain.cpu_to_floor is not None
    assert (plain.cpu_to_floor.low, plain.cpu_to_floor.high) == pytest.approx((25.0, 25.0))
    assert floor.plain_to_cpu is not None
    assert floor.plain_to_cpu.median == pytest.approx(25.0)
    assert (plain.cpu_us.low, plain.cpu_us.median, plain.cpu_us.high) == pytest.approx((100.0, 100.0, 200.0))


def test_without_a_floor_or_a_plain_loop_there_are_no_ratios_to_it() -> None:
    (worker,) = summaries([{"at-least-once": run("at-least-once", 10.0)}])
    assert worker.cpu_to_floor is None
    assert worker.plain_to_cpu is None


def test_a_worker_that_became_dearer_beside_the_floor_is_a_regression() -> None:
    found = regressions(report(4.0, 20.0, 200.0), report(4.0, 10.0, 200.0), margin=1.3)
    assert found == [
        "at-least-once: 5.00 times the floor's CPU, more than 3.25",
        "at-least-once: the plain loop takes 10.00 times as much CPU, less than 15.38",
    ]


def test_a_slower_machine_and_a_difference_within_the_margin_are_no_regression() -> None:
    assert regressions(report(8.0, 24.0, 400.0), report(4.0, 10.0, 200.0), margin=1.3) == []


def test_a_slower_peer_is_no_regression() -> None:
    assert regressions(report(4.0, 10.0, 900.0), report(4.0, 10.0, 200.0), margin=1.3) == []


def test_percentiles_are_times_that_were_measured() -> None:
    times = np.array([1.0] * 98 + [50.0, 900.0])
    assert percentiles(times) == {"p50": 1.0, "p99": 50.0, "p99.9": 900.0, "max": 900.0}
