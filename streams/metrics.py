"""The counters and gauges of a worker: one typed list, and their text form for Prometheus."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Final

from models.serving.metrics import MODEL_FAILURES, MODEL_INFO, MODEL_SWAPS, Metric
from models.serving.served import ModelStamp

RECORDS: Final = Metric(name="sortline_records_total", kind="counter", help="Input records finished.")
CATEGORIZED: Final = Metric(
    name="sortline_categorized_total",
    kind="counter",
    help="Events sent to the categorized topic, tombstones excluded.",
)
BACKED_OFF: Final = Metric(
    name="sortline_backed_off_total", kind="counter", help="Categorized events that name only an ancestor."
)
REVIEW: Final = Metric(name="sortline_review_total", kind="counter", help="Events sent to the review topic.")
DEAD_LETTERS: Final = Metric(
    name="sortline_dead_letters_total", kind="counter", help="Records sent to the dead-letter topic."
)
TOMBSTONES: Final = Metric(
    name="sortline_tombstones_total", kind="counter", help="Tombstones passed on to the categorized topic."
)
SLICES: Final = Metric(name="sortline_slices_total", kind="counter", help="Slices of a partition finished.")
RETRIES: Final = Metric(
    name="sortline_dependency_retries_total",
    kind="counter",
    help="Times that work was put off because a dependency did not answer.",
)
SCORING_SECONDS: Final = Metric(
    name="sortline_scoring_seconds_total", kind="counter", help="Time spent from decode to encode."
)
SCORING_CPU_SECONDS: Final = Metric(
    name="sortline_scoring_cpu_seconds_total",
    kind="counter",
    help="CPU time of the scoring thread, from decode to encode.",
)
STAGE_CPU_SECONDS: Final = Metric(
    name="sortline_stage_cpu_seconds_total",
    kind="counter",
    help="CPU time by stage; framework is all of the process that no other stage has, its start among it.",
)
CPU_SECONDS: Final = Metric(
    name="process_cpu_seconds_total", kind="counter", help="CPU time of the whole process since it started."
)
DELIVERY_SECONDS: Final = Metric(
    name="sortline_delivery_seconds_total", kind="counter", help="Time waited until outputs were safe."
)
LAG: Final = Metric(
    name="sortline_lag_records", kind="gauge", help="Offsets between what is finished and the end of a partition."
)
#: Everything a worker tells, in the order it tells it. CPU_SECONDS is asked of the system; LAG has a value for
#: each partition, MODEL_INFO its own labels.
METRICS: Final = (
    RECORDS,
    CATEGORIZED,
    BACKED_OFF,
    REVIEW,
    DEAD_LETTERS,
    TOMBSTONES,
    SLICES,
    RETRIES,
    SCORING_SECONDS,
    SCORING_CPU_SECONDS,
    DELIVERY_SECONDS,
    STAGE_CPU_SECONDS,
    CPU_SECONDS,
    LAG,
    MODEL_SWAPS,
    MODEL_FAILURES,
    MODEL_INFO,
)

#: The stages that are not scoring: taking fetched batches apart, filling those that are sent, and everything else.
CONSUME: Final = "consume"
PRODUCE: Final = "produce"
FRAMEWORK: Final = "framework"


class Counters:
    """What a worker has counted since it started."""

    def __init__(self) -> None:
        self._values: Counter[str] = Counter()
        self._stage_ns: Counter[str] = Counter()

    def add(self, metric: Metric, amount: float = 1) -> None:
        """Count."""
        self._values[metric.name] += amount  # type: ignore[assignment]  # typeshed has Counter count in int only

    def add_stages(self, nanoseconds: Mapping[str, int]) -> None:
        """Count CPU time by stage."""
        self._stage_ns.update(nanoseconds)

    def stage_seconds(self, **other: float) -> dict[str, float]:
        """Return the CPU seconds of each stage; `other` are those that are not counted here."""
        seconds = {stage: ns / 1e9 for stage, ns in self._stage_ns.items()} | other
        return seconds | {FRAMEWORK: max(0.0, time.process_time() - sum(seconds.values()))}

    def value(self, metric: Metric) -> float:
        """Return what was counted so far."""
        return self._values[metric.name]

    def as_text(
        self,
        lags: Mapping[tuple[str, int], int],
        model: ModelStamp,
        *,
        consume_seconds: float = 0.0,
        produce_seconds: float = 0.0,
    ) -> str:
        """Return all metrics in Prometheus' text format 0.0.4; `lags` by topic and partition, `model` as served.

        The seconds are CPU time of taking fetched batches apart, and of filling those that are sent.
        """
        lines: list[str] = []
        for metric in METRICS:
            lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}"]
            if metric is CPU_SECONDS:
                lines.append(f"{metric.name} {time.process_time():.6f}")
            elif metric is STAGE_CPU_SECONDS:
                stages = self.stage_seconds(**{CONSUME: consume_seconds, PRODUCE: produce_seconds})
                lines += [f'{metric.name}{{stage="{stage}"}} {seconds:.6f}' for stage, seconds in stages.items()]
            elif metric is LAG:
                lines += [
                    f'{metric.name}{{topic="{topic}",partition="{partition}"}} {lag}'
                    for (topic, partition), lag in sorted(lags.items())
                ]
            elif metric is MODEL_INFO:
                labels = {
                    "name": model.name,
                    "version": model.version,
                    "registered_version": model.registered_version or "",
                }
                told = ",".join(f'{name}="{_escaped(str(value))}"' for name, value in labels.items())
                lines.append(f"{metric.name}{{{told}}} 1")
            else:
                lines.append(f"{metric.name} {self.value(metric):.10g}")
        return "\n".join(lines) + "\n"


def _escaped(label: str) -> str:
    return label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
