"""Reports as JSON for machines and as Markdown for the pages in docs."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from benchmarks.harness.figures import Summary
from benchmarks.harness.ways import way

_ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = _ROOT / "docs" / "performance.md"
RESULTS: Final = _ROOT / "benchmarks" / "results"

_LIBRARIES: Final = ("confluent-kafka", "faust-streaming", "aiokafka", "lightgbm", "numba", "numpy", "pyarrow")


#: The worker's counter of CPU time, with a label for each stage.
_STAGE = "sortline_stage_cpu_seconds_total{"


def circumstances(command: Sequence[str], pythons: Mapping[str, Path]) -> dict[str, Any]:
    """Return where and with what it was measured; no name of a machine or a person, no path."""
    versions = {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}}
    if "quix" in pythons:
        versions["quixstreams"] = _version_there(pythons["quix"], "quixstreams")
        versions["its confluent-kafka"] = _version_there(pythons["quix"], "confluent-kafka")
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(command),
        "machine": {
            "cpus": len(os.sched_getaffinity(0)),
            "processor": processor(Path("/proc/cpuinfo").read_text()),
            "system": platform.system(),
        },
        "versions": versions,
    }


def processor(cpuinfo: str) -> str:
    r"""Return the processor's name from the text of /proc/cpuinfo.

    >>> processor("processor: 0\nmodel name\t: Fast One\n")
    'Fast One'
    """
    names = [line.partition(":")[2].strip() for line in cpuinfo.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


def throughput_report(about: Mapping[str, Any], summed_up: Sequence[Summary]) -> dict[str, Any]:
    """Return the JSON object of the throughput benchmark; `about` are the circumstances and what was given."""
    ways = [
        {
            **asdict(one),
            "title": way(one.way).title,
            "runs": [
                {**asdict(run), "cpu_us": run.cpu_us, "events_per_second": run.events_per_second}
                for run in one.runs
            ],
        }
        for one in summed_up
    ]
    return {**about, "ways": ways}


def throughput_table(report: Mapping[str, Any]) -> str:
    """Return the Markdown table of a throughput report: ratios first.

    A cell is the median of the rounds; in parentheses the lowest and the highest, where there are several.
    """
    lines = [
        "| way | CPU an event ÷ floor's | plain loop's CPU ÷ this | CPU µs an event | events/s | start s |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {one['title']} | {cell(one['cpu_to_floor'])} | {cell(one['plain_to_cpu'])} "
        f"| {cell(one['cpu_us'])} | {cell(one['events_per_second'])} | {cell(one['start_seconds'])} |"
        for one in report["ways"]
    ]
    events = {run["way"]: run["events"] for one in report["ways"] for run in one["runs"]}
    sizes = ", ".join(f"{name} {n:,}" for name, n in events.items())
    return "\n".join([*lines, "", f"Events measured in the last round: {sizes}.", "", told(report)])


def stage_table(report: Mapping[str, Any]) -> str:
    """Return the Markdown table of where a worker's CPU time goes, stage by stage; empty without a worker's run.

    A stage's time is what the worker counted over its whole life, by its events; "framework" is what is left of
    the CPU an event of the table above: the event loop, aiokafka, Faust, sockets.
    """
    ways = {one["title"]: stage_costs(one["runs"]) for one in report["ways"]}
    ways = {title: costs for title, costs in ways.items() if costs}
    if not ways:
        return ""
    names = list(dict.fromkeys(name for costs in ways.values() for name in costs))
    lines = [f"| CPU µs an event | {' | '.join(ways)} |", "| --- |" + " --- |" * len(ways)]
    lines += [
        f"| {name} | {' | '.join(f'{costs.get(name, 0.0):.2f}' for costs in ways.values())} |" for name in names
    ]
    lines.append(f"| **all** | {' | '.join(f'**{sum(costs.values()):.2f}**' for costs in ways.values())} |")
    return "\n".join(lines)


def stage_costs(runs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the CPU microseconds an event by stage, of the run with the median CPU; {} if none has stages."""
    told = sorted(
        (run for run in runs if any(_STAGE in name for name in run["counters"])), key=lambda run: run["cpu_us"]
    )
    if not told:
        return {}
    run = told[len(told) // 2]
    counters = run["counters"]
    n_events = counters["sortline_records_total"]
    costs = {
        name.partition('"')[2].rstrip('"}'): seconds / n_events * 1e6
        for name, seconds in counters.items()
        if _STAGE in name
    }
    costs.pop("framework", None)
    return costs | {"framework": run["cpu_us"] - sum(costs.values())}


def latency_table(report: Mapping[str, Any]) -> str:
    """Return the Markdown table of a latency report."""
    lines = [
        "| way | events/s asked | events/s sent | p50 ms | p99 ms | p99.9 ms | largest ms | kept up |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in report["runs"]:
        times = one["milliseconds"]
        lines.append(
            f"| {way(one['way']).title} | {one['rate']:,.0f} | {one['sent_rate']:,.0f} | {times['p50']:.1f} "
            f"| {times['p99']:.1f} | {times['p99.9']:.1f} | {times['max']:.1f} "
            f"| {'yes' if one['kept_up'] else 'no'} |"
        )
    return "\n".join([*lines, "", told(report)])


def between_markers(page: str, name: str, table: str) -> str:
    """Return the page with the table in place of what stands between the markers of this name.

    Raises ValueError if the page lacks them.
    """
    start, end = f"<!-- {name}: written by the benchmark -->", f"<!-- end of {name} -->"
    before, found, rest = page.partition(start)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise ValueError(f"the page lacks the markers {start} and {end}")
    return f"{before}{start}\n{table}\n{end}{after}"


def save(name: str, report: Mapping[str, Any], table: str, *, page: Path = PAGE) -> None:
    """Write the report to `benchmarks/results` and its table into the page."""
    RESULTS.mkdir(exist_ok=True)
    write_json(RESULTS / f"{name}.json", report)
    write_into_page(name, table, page=page)


def write_into_page(name: str, table: str, *, page: Path = PAGE) -> None:
    """Put a table between the markers of its name in the page."""
    page.write_text(between_markers(page.read_text(encoding="utf-8"), name, table), encoding="utf-8")


def write_json(to: Path, report: Mapping[str, Any]) -> None:
    """Write a report."""
    to.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def command_line(script: str, arguments: Sequence[str]) -> list[str]:
    """Return a command as somebody else may type it: addresses and folders of this machine are left out.

    >>> command_line("benchmarks/stream.py", ["--bootstrap", "10.0.0.1:9092", "--repetitions", "5", "--model=a/b"])
    ['python', 'benchmarks/stream.py', '--repetitions', '5']
    """
    local = ("--bootstrap", "--registry", "--model", "--data", "--json", "--compare")
    kept, is_skipping = ["python", script], False
    for argument in arguments:
        if argument.startswith("--"):
            is_skipping = argument.partition("=")[0] in local
        if not is_skipping:
            kept.append(argument)
    return kept


def _version_there(python: Path, library: str) -> str:
    code = f"from importlib.metadata import version; print(version({library!r}))"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def told(report: Mapping[str, Any]) -> str:
    """Return the sentence that says how, when and where a report was measured."""
    machine = report["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in report["versions"].items())
    return (
        f"`{report['command']}` on {report['measured_at'][:10]}: {machine['cpus']} CPUs ({machine['processor']}), "
        f"{machine['system']}; {versions}."
    )


def cell(spread: Mapping[str, float] | None) -> str:
    """Return the median of a `Spread` as a mapping, with its range where there is one; a dash for None."""
    if spread is None:
        return "–"
    median, low, high = (_number(spread[name]) for name in ("median", "low", "high"))
    return median if low == high else f"{median} ({low}–{high})"


def _number(value: float) -> str:
    """Return about three digits.

    >>> _number(12345.6), _number(45.67), _number(1.234)
    ('12,346', '45.7', '1.23')
    """
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
