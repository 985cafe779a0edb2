"""What a worker does first where numba's cache is empty: compile its kernels, on two cores if there are two.

numba compiles one kernel at a time in a process. So a second process compiles the features, and this one the
rest; they share no kernel, because two processes that write to one kernel's cache at the same time may lose or
mix up what is in it. A worker whose cache is filled does nothing here but look.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import pyarrow as pa

import features.warm_up
import models.warm_up
from models.taxonomy import Taxonomy
from schemas import columns
from schemas.avro_files import load_schema
from schemas.decoding import Decoder
from schemas.encoding import Encoder
from schemas.registry import InMemoryRegistry
from schemas.stages import StageClock
from streams.slices import SliceProcessor
from streams.warm_up import warm_up

log = logging.getLogger(__name__)

_TOPIC: Final = "products.created"
#: Several times what the slowest machine took; then whatever is missing is compiled here.
_HELPER_SECONDS: Final = 120.0


class Helper(Protocol):
    """A process that compiles: subprocess.Popen is one."""

    def wait(self, timeout: float | None = None) -> int: ...  # noqa: D102  # as Popen has it
    def kill(self) -> None: ...  # noqa: D102


def start_helper() -> Helper:
    """Start the process that compiles the features. Raises OSError if there can be none."""
    # -P: what lies in the folder that a worker happens to be started in is not imported.
    command = [sys.executable, "-P", "-m", "features.warm_up"]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def compile_stream() -> None:
    """Compile or load every kernel of a worker but those of the features."""
    registry = InMemoryRegistry()
    schema = load_schema("product_categorized")
    registry.register(f"{_TOPIC}-value", load_schema("product_created"))
    processor = SliceProcessor(
        decoder=Decoder(registry, load_schema("product_created"), columns.PRODUCT),
        classifier=_WithoutFeatures(),
        encoder=Encoder(schema, registry.register("products.categorized-value", schema)),
        group_id="warm-up",
        now_ms=lambda: 0,
    )
    warm_up(processor, registry, _TOPIC)


def compile_if_cold(
    *,
    is_warm: Callable[[], bool] = features.warm_up.are_cached,
    n_cores: int | None = None,
    start: Callable[[], Helper] = start_helper,
    compile_rest: Callable[[], None] = compile_stream,
) -> bool:
    """Compile the kernels unless they are cached; return whether there was something to do.

    Blocks for as long as it takes. A second process that cannot start, fails or hangs is no fault: what it should
    have compiled is compiled where it is first needed, in this process.
    """
    if is_warm():
        return False
    started = time.monotonic()
    n_cores = usable_cores() if n_cores is None else n_cores
    log.info("compiling kernels, once for this machine", extra={"processes": min(2, n_cores)})
    helper = _started(start) if n_cores > 1 else None
    compile_rest()
    if helper is not None:
        _wait_for(helper)
    log.info("kernels compiled", extra={"seconds": round(time.monotonic() - started, 1)})
    return True


def usable_cores() -> int:
    """Return on how many cores this process may run; a container's quota of time is not looked at."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _started(start: Callable[[], Helper]) -> Helper | None:
    try:
        return start()
    except OSError as error:
        log.warning("kernels are compiled by one process only", extra={"reason": error.strerror or str(error)})
        return None


def _wait_for(helper: Helper) -> None:
    try:
        code = helper.wait(timeout=_HELPER_SECONDS)
    except subprocess.TimeoutExpired:
        helper.kill()
        helper.wait()
        log.warning("kernels are compiled by one process only", extra={"reason": "the other one hung"})
        return
    if code:
        log.warning("kernels are compiled by one process only", extra={"reason": f"the other ended with {code}"})


@dataclass(frozen=True, slots=True)
class _WithoutFeatures:
    """Decides without a look at the products."""

    name: str = "warm-up"
    version: str = "0"
    feature_fingerprint: str = ""
    taxonomy: Taxonomy = models.warm_up.TAXONOMY

    def classify(self, products: pa.RecordBatch, clock: StageClock | None = None) -> pa.RecordBatch:
        del clock
        return models.warm_up.decisions(products["product_id"])
