"""The rules by which a process follows an alias: when to look, what to take, and what to leave alone.

The model that is served stays until another one was loaded, checked and tried out. A version that cannot be served
is left alone until it is announced again or the process starts anew; one that merely could not be fetched is tried
again, at longer and longer intervals.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from models.serving.metrics import MODEL_FAILURES, MODEL_SWAPS, Tally
from models.serving.served import Classifier, ModelStamp
from models.serving.store import ModelStore
from schemas.errors import BundleError, DependencyUnavailableError, SetupError, SortlineError

log = logging.getLogger(__name__)

#: The interval is varied by so much either way: workers that were started together do not ask together.
_JITTER: Final = 0.25
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 600.0
#: Of errors that nobody has thought of.
_MOST_SURPRISES: Final = 3


ModelT = TypeVar("ModelT", bound=Classifier)
ModelT_contra = TypeVar("ModelT_contra", bound=Classifier, contravariant=True)


class Server(Protocol[ModelT_contra]):
    """What serves the model: `streams.slices.SliceProcessor` is one."""

    @property
    def model(self) -> ModelStamp:
        """Which model is served."""

    def swap(self, classifier: ModelT_contra, registered_version: int | None = None) -> None:
        """Serve another model from now on."""


@dataclass(slots=True)
class _Trouble:
    """What is known of a version that was not taken."""

    n_failures: int = 0
    retry_at: float = 0.0


class ModelFollower(Generic[ModelT]):
    """Follows an alias. For one thread, which may block for as long as a model takes to load.

    Args:
        store: tells which version is wanted, and loads it.
        server: of the model.
        try_out: has a model that was loaded decide on something; what it raises keeps the model out.
        counters: of the process.
        poll_seconds: how often to look, about.
        clock: seconds, monotonic.
        chance: returns a number from 0 to 1, to vary the interval by.
    """

    def __init__(
        self,
        *,
        store: ModelStore[ModelT],
        server: Server[ModelT],
        try_out: Callable[[ModelT], object],
        counters: Tally,
        poll_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._server = server
        self._try_out = try_out
        self._counters = counters
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._chance = chance
        self._n_unanswered = 0
        self._troubles: dict[int, _Trouble] = {}

    def interval(self) -> float:
        """Return after how many seconds to look, if nothing happens before."""
        return self._poll_seconds * (1 + _JITTER * (2 * self._chance() - 1))

    def look(self, *, is_announced: bool = False) -> float:
        """Serve the version that is wanted, if that is news; return after how many seconds to look again.

        `is_announced`: somebody says that there is something to look at, so what failed before is tried again.
        Raises nothing: whatever goes wrong is logged and counted, and the model that is served stays.
        """
        if is_announced:
            self._troubles.clear()
        try:
            wanted = self._store.wanted()
        except Exception as error:  # noqa: BLE001  # the old model serves as well as before
            return self._unanswered(error)
        self._n_unanswered = 0
        if wanted == self._server.model.registered_version:
            return self.interval()
        trouble = self._troubles.get(wanted)
        if trouble is None or trouble.retry_at <= self._clock():
            trouble = self._take(wanted)
        if trouble is None:
            return self.interval()
        return min(self.interval(), max(trouble.retry_at - self._clock(), _FIRST_PAUSE_SECONDS))

    def _take(self, wanted: int) -> _Trouble | None:
        """Load, try out and serve a version; return what is the trouble with it, if it was not taken."""
        started = time.monotonic()
        before = self._server.model
        try:
            classifier = self._store.load(wanted)
            self._try_out(classifier)
        except Exception as error:  # noqa: BLE001  # as above
            return self._not_taken(wanted, error)
        self._server.swap(classifier, wanted)
        self._troubles.clear()
        self._counters.add(MODEL_SWAPS)
        log.info(
            "model swapped",
            extra={
                "model_name": classifier.name,
                "model_version": classifier.version,
                "registered_version": wanted,
                "previous_model_version": before.version,
                "previous_registered_version": before.registered_version,
                "load_seconds": round(time.monotonic() - started, 2),
            },
        )
        return None

    def _not_taken(self, wanted: int, error: Exception) -> _Trouble:
        self._counters.add(MODEL_FAILURES)
        trouble = self._troubles.setdefault(wanted, _Trouble())
        trouble.n_failures += 1
        serving = self._server.model.registered_version
        told = {"registered_version": wanted, "serving": serving, "reason": _reason(error)}
        may_pass = isinstance(error, DependencyUnavailableError) or (
            not isinstance(error, SortlineError) and trouble.n_failures < _MOST_SURPRISES
        )
        if may_pass:
            pause = _pause(trouble.n_failures, _LONGEST_PAUSE_SECONDS)
            trouble.retry_at = self._clock() + pause
            log.warning("model not loaded, the old one stays", extra={**told, "retry_in_seconds": pause})
        else:
            trouble.retry_at = math.inf
            # Someone must act: announce another version, or this one again once it is mended.
            log.error("model refused, the old one stays", extra=told)
        return trouble

    def _unanswered(self, error: Exception) -> float:
        self._counters.add(MODEL_FAILURES)
        self._n_unanswered += 1
        pause = self.interval()
        if not isinstance(error, (SetupError, BundleError)):  # it is away
            pause = min(pause, _pause(self._n_unanswered, self._poll_seconds))
        log.warning(
            "model registry does not tell which model to serve, the old one stays",
            extra={"reason": _reason(error), "retry_in_seconds": round(pause, 1)},
        )
        return pause


def _pause(n_failures: int, longest: float) -> float:
    return min(_FIRST_PAUSE_SECONDS * 2.0 ** min(n_failures - 1, 30), longest)


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, SortlineError) else f"{type(error).__name__}: {error}"
