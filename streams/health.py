"""`/health`, `/ready` and `/metrics` in Faust's own web server.

- `/health`: 200 as long as the event loop turns. For a supervisor that restarts what hangs.
- `/ready`: 200 if this worker has partitions and each is caught up or moves; otherwise 503 with the reasons.
- `/metrics`: counters and the lag of each partition, for Prometheus.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from faust.types import TP

from models.serving.served import ModelStamp
from streams.columnar_fetch import ColumnarResult
from streams.metrics import Counters
from streams.offsets import Partition
from streams.progress import ProgressWatch, Standing
from streams.transport import Consumer

if TYPE_CHECKING:
    import faust

#: How often the watch looks by itself; a probe looks, too.
LOOK_SECONDS = 1.0


class Health:
    """What a worker knows of itself."""

    def __init__(
        self,
        app: faust.App,
        counters: Counters,
        watch: ProgressWatch,
        *,
        model: Callable[[], ModelStamp],
        produce_seconds: Callable[[], float] = lambda: 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Put together what is asked for its state.

        `model` returns which one is served, `produce_seconds` the CPU time of filling batches.
        """
        self._app = app
        self._counters = counters
        self._watch = watch
        self._model = model
        self._produce_seconds = produce_seconds
        self._clock = clock

    def standings(self) -> Mapping[Partition, Standing]:
        """Return where each assigned partition of the input stands."""
        consumer = cast(Consumer, self._app.consumer)
        return {(tp.topic, tp.partition): self._standing(consumer, tp) for tp in consumer.sliced_assignment()}

    def _standing(self, consumer: Consumer, tp: TP) -> Standing:
        answered = consumer.answered_at_ms(tp)
        return Standing(
            done=consumer.done_offset(tp),
            end=consumer.end_offset(tp),
            answered_at=None if answered is None else answered / 1000.0,
        )

    def problems(self) -> list[str]:
        """Return why this worker is not ready; nothing if it is."""
        if self._app.should_stop:
            return ["the worker is stopping"]
        if self._app.rebalancing:
            return ["the group is rebalancing"]
        return self._watch.look(self.standings(), self._clock())

    def ready(self) -> tuple[int, dict[str, Any]]:
        """Return the status and body of `/ready`."""
        problems = self.problems()
        partitions = {
            f"{topic}/{partition}": {"done": one.done, "end": one.end, "lag": one.lag}
            for (topic, partition), one in sorted(self.standings().items())
        }
        return (503 if problems else 200), {
            "ready": not problems,
            "problems": problems,
            "partitions": partitions,
        }

    def metrics(self) -> str:
        """Return the body of `/metrics`."""
        return self._counters.as_text(
            {partition: one.lag for partition, one in self.standings().items() if one.lag is not None},
            self._model(),
            consume_seconds=ColumnarResult.cpu_seconds,
            produce_seconds=self._produce_seconds(),
        )


def serve_health(app: faust.App, health: Health) -> None:
    """Put the pages on the app's web server, and let the watch look every second."""

    @app.page("/health", name="health")
    async def _health(web: Any, request: Any) -> Any:
        return web.json({"status": "ok"})

    @app.page("/ready", name="ready")
    async def _ready(web: Any, request: Any) -> Any:
        status, body = health.ready()
        return web.json(body, status=status)

    @app.page("/metrics", name="metrics")
    async def _metrics(web: Any, request: Any) -> Any:
        return web.text(health.metrics(), headers={"X-Content-Type-Options": "nosniff"})

    @app.timer(interval=LOOK_SECONDS)  # type: ignore[untyped-decorator]  # as Faust has it
    async def _look() -> None:
        health.problems()
