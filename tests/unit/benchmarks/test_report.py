import dataclasses
import sys
from pathlib import Path

import pytest

from benchmarks.harness import report
from benchmarks.harness.backlog import Measured
from benchmarks.harness.figures import summaries
from benchmarks.harness.report import between_markers, circumstances, latency_table, stage_table, throughput_table

MARKED = "before\n<!-- speed: written by the benchmark -->\nold\n<!-- end of speed -->\nafter\n"


def about() -> dict[str, object]:
    return circumstances(["python", "benchmarks/stream.py"], {})


def run(way: str, cpu_seconds: float) -> Measured:
    return Measured(way=way, events=100_000, wall_seconds=2.0, cpu_seconds=cpu_seconds, start_seconds=3.0)


def test_the_table_leads_with_the_ratios_and_gives_their_range() -> None:
    rounds = [
        {"floor": run("floor", 0.5), "exactly-once": run("exactly-once", cpu), "plain": run("plain", 15.0)}
        for cpu in (1.0, 1.5, 2.0)
    ]
    lines = throughput_table(report.throughput_report(about(), summaries(rounds))).splitlines()
    assert lines[0].startswith("| way | CPU an event ÷ floor's | plain loop's CPU ÷ this |")
    assert (
        "| sortline, exactly-once | 3.00 (2.00–4.00) | 10.0 (7.50–15.0) | 15.0 (10.0–20.0) | 50,000 |" in lines[3]
    )


def test_the_stages_of_the_median_run_add_up_to_its_cpu() -> None:
    def staged(way: str, cpu_seconds: float, trees: float) -> Measured:
        counters = {
            "sortline_records_total": 200_000.0,
            'sortline_stage_cpu_seconds_total{stage="trees"}': trees,
            'sortline_stage_cpu_seconds_total{stage="framework"}': 99.0,
        }
        return dataclasses.replace(run(way, cpu_seconds), counters=counters)

    rounds = [
        {"floor": run("floor", 0.5), "exactly-once": staged("exactly-once", cpu, trees)}
        for cpu, trees in ((1.0, 0.2), (0.9, 0.1), (2.0, 0.4))
    ]
    table = stage_table(report.throughput_report(about(), summaries(rounds)))
    assert table.splitlines() == [
        "| CPU µs an event | sortline, exactly-once |",
        "| --- | --- |",
        "| trees | 1.00 |",
        "| framework | 9.00 |",
        "| **all** | **10.00** |",
    ]
    assert stage_table(report.throughput_report(about(), summaries([{"floor": run("floor", 0.5)}]))) == ""


def test_what_was_not_measured_is_a_dash() -> None:
    table = throughput_table(report.throughput_report(about(), summaries([{"floor": run("floor", 0.5)}])))
    assert "| librdkafka pass-through, no work | 1.00 | – | 5.00 | 50,000 | 3.00 |" in table


def test_a_way_that_did_not_keep_up_is_named_in_the_latency_table() -> None:
    times = {"p50": 4.0, "p99": 12.25, "p99.9": 40.0, "max": 50.0}
    one = {"way": "exactly-once", "rate": 2000.0, "sent_rate": 1999.6, "milliseconds": times, "kept_up": False}
    table = latency_table({**about(), "runs": [one]})
    assert "| sortline, exactly-once | 2,000 | 2,000 | 4.0 | 12.2 | 40.0 | 50.0 | no |" in table


def test_a_table_replaces_what_stood_between_its_markers() -> None:
    page = between_markers(MARKED, "speed", "new")
    assert "old" not in page
    assert between_markers(page, "speed", "new") == page
    assert page.startswith("before\n")
    assert page.endswith("-->\nafter\n")


def test_a_page_without_the_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks the markers"):
        between_markers(MARKED, "latency", "new")


def test_the_page_has_a_place_for_each_table() -> None:
    page = report.PAGE.read_text(encoding="utf-8")
    for name in ("throughput", "latency"):
        between_markers(page, name, "new")


def test_a_report_can_be_written_and_tells_no_path(tmp_path: Path) -> None:
    report.write_json(tmp_path / "report.json", about())
    text = (tmp_path / "report.json").read_text()
    assert str(Path.cwd()) not in text
    assert sys.prefix not in text
