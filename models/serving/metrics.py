"""What is counted of the model that is served, by the same names wherever it is served."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A number that a process tells of itself."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str


MODEL_SWAPS: Final = Metric(
    name="sortline_model_swaps_total", kind="counter", help="Times that another model took over in this process."
)
MODEL_FAILURES: Final = Metric(
    name="sortline_model_failures_total",
    kind="counter",
    help="Times that the model registry did not answer, or that a new model was not taken; the one before stays.",
)
MODEL_INFO: Final = Metric(
    name="sortline_model_info", kind="gauge", help="Always 1; the labels tell which model decides now."
)


class Tally(Protocol):
    """Where is counted: `streams.metrics.Counters` is one."""

    def add(self, metric: Metric, amount: float = 1) -> None:
        """Count."""
