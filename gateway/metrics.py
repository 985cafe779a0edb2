"""What a gateway counts, for Prometheus. The metrics of the model have the names that a worker gives them."""

from __future__ import annotations

import time
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.model_slot import ModelSlot
from models.serving.metrics import MODEL_FAILURES, MODEL_INFO, MODEL_SWAPS, Metric

#: Seconds; fine where a single product is answered.
_LATENCIES: Final = (0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0)
_SIZES: Final = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The metrics of one gateway. `registry` takes those of routers that are added to it."""

    def __init__(self, slot: ModelSlot) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self.seconds = Histogram(
            "sortline_http_request_seconds",
            "Time from the head of a request to the end of its answer.",
            ("method", "route", "status"),
            buckets=_LATENCIES,
            registry=self.registry,
        )
        self.products = Counter(
            "sortline_http_products",
            "Products that were asked about, by what became of them.",
            ("outcome",),
            registry=self.registry,
        )
        self.batch_sizes = Histogram(
            "sortline_http_micro_batch_products",
            "Single products that were decided on together.",
            buckets=_SIZES,
            registry=self.registry,
        )
        self._of_model = {
            metric.name: Counter(metric.name.removesuffix("_total"), metric.help, registry=self.registry)
            for metric in (MODEL_SWAPS, MODEL_FAILURES)
        }
        self.since = Gauge("sortline_http_start_time_seconds", "When it started.", registry=self.registry)
        self.since.set(time.time())
        self.registry.register(_ModelInfo(slot))
        ProcessCollector(registry=self.registry)

    def add(self, metric: Metric, amount: float = 1) -> None:
        """Count of the model that is served; see `models.serving.metrics.Tally`."""
        self._of_model[metric.name].inc(amount)

    def as_text(self) -> bytes:
        """Return all of them in Prometheus' text format."""
        return generate_latest(self.registry)


class _ModelInfo(Collector):
    def __init__(self, slot: ModelSlot) -> None:
        self._slot = slot

    def collect(self) -> list[GaugeMetricFamily]:
        """Tell which model is served."""
        name, version, number = self._slot.model
        labels = {"name": name, "version": version, "registered_version": str(number or "")}
        family = GaugeMetricFamily(MODEL_INFO.name, MODEL_INFO.help, labels=list(labels))
        family.add_metric(list(labels.values()), 1)
        return [family]


class RequestTimes:
    """Middleware that times every request, by its route and not by its path: paths are without number."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and note how long it took."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            seconds = time.perf_counter() - started
            self._metrics.seconds.labels(scope["method"], route, status).observe(seconds)
