from __future__ import annotations

from dataclasses import asdict

import pytest

from benchmarks.harness import report
from benchmarks.http import HttpRun, table


def a_run(way: str, products: int, cpu_us: float, p99: float = 4.0) -> HttpRun:
    return HttpRun(
        way=way,
        connections=16,
        products=products,
        requests_per_second=500.0,
        milliseconds={"p50": 2.0, "p99": p99, "p99.9": 9.0, "max": 11.0},
        cpu_us=cpu_us,
    )


def test_the_table_has_a_part_for_each_load_and_ratios_within_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.harness.report.told", lambda _: "measured somewhere")
    runs = [
        *(a_run("floor", 1, 100.0), a_run("gateway", 1, 300.0), a_run("gateway", 100, 20.0)),
        *(a_run("floor", 1, 200.0), a_run("gateway", 1, 400.0, p99=6.0), a_run("gateway", 100, 20.0)),
    ]
    text = table({"runs": [asdict(one) for one in runs]})

    assert "16 connections, a product a request:" in text
    assert (
        "| `sortline serve` | 500 | 500 | 2.00 | 5.00 (4.00–6.00) | 9.00 | 350 (300–400) | 2.50 (2.00–3.00) |"
        in text
    )
    assert "16 connections, batches of 100 products a request:" in text
    assert "| `sortline serve` | 500 | 50,000 | 2.00 | 4.00 | 9.00 | 20.0 | – |" in text


def test_the_page_has_a_place_for_the_table() -> None:
    report.between_markers(report.PAGE.read_text(encoding="utf-8"), "http", "new")
