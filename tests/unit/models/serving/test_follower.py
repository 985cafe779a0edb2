"""By which rules an alias is followed, on a store and a server that are made up, and by a clock that is told."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from models.serving.follower import ModelFollower
from models.serving.metrics import MODEL_FAILURES, MODEL_SWAPS
from models.serving.served import Classifier, ModelStamp
from schemas.errors import BundleError, DependencyUnavailableError, SetupError
from streams.metrics import Counters
from tests.unit.streams.conftest import TitleClassifier

if TYPE_CHECKING:
    from collections.abc import Sequence

POLL_SECONDS = 30.0


@dataclass
class Store:
    """A store whose alias means `number`; `broken` are versions that fail when they are loaded."""

    number: int = 1
    away: Exception | None = None
    broken: dict[int, Exception] = field(default_factory=dict)
    loaded: list[int] = field(default_factory=list)

    def wanted(self) -> int:
        if self.away is not None:
            raise self.away
        return self.number

    def load(self, number: int) -> Any:
        self.loaded.append(number)
        if number in self.broken:
            raise self.broken[number]
        return TitleClassifier(version=f"v{number}")


@dataclass
class Server:
    model: ModelStamp = field(default_factory=lambda: ModelStamp("by-title", "v1", 1))

    def swap(self, classifier: Classifier, registered_version: int | None = None) -> None:
        self.model = ModelStamp(classifier.name, classifier.version, registered_version)


@dataclass
class Rig:
    store: Store = field(default_factory=Store)
    server: Server = field(default_factory=Server)
    counters: Counters = field(default_factory=Counters)
    tried: list[str] = field(default_factory=list)
    unfit: dict[str, Exception] = field(default_factory=dict)
    now: float = 0.0
    chance: float = 0.5

    def __post_init__(self) -> None:
        self.follower = ModelFollower(
            store=self.store,
            server=self.server,
            try_out=self.try_out,
            counters=self.counters,
            poll_seconds=POLL_SECONDS,
            clock=lambda: self.now,
            chance=lambda: self.chance,
        )

    def try_out(self, classifier: Classifier) -> None:
        self.tried.append(classifier.version)
        if classifier.version in self.unfit:
            raise self.unfit[classifier.version]

    def look(self, times: int = 1, *, is_announced: bool = False) -> list[float]:
        """Look so many times, each after the time that the look before asked for; return these times."""
        waits = []
        for _ in range(times):
            waits.append(self.follower.look(is_announced=is_announced))
            self.now += waits[-1]
        return waits

    @property
    def n_swaps(self) -> float:
        return self.counters.value(MODEL_SWAPS)

    @property
    def n_failures(self) -> float:
        return self.counters.value(MODEL_FAILURES)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def messages(caplog: pytest.LogCaptureFixture) -> Sequence[str]:
    return [record.getMessage() for record in caplog.records]


def test_an_alias_that_means_the_same_loads_nothing(rig: Rig) -> None:
    assert rig.look(3) == [POLL_SECONDS] * 3
    assert rig.store.loaded == []
    assert (rig.n_swaps, rig.n_failures) == (0, 0)


def test_the_interval_is_varied_by_a_quarter_so_that_workers_do_not_ask_together(rig: Rig) -> None:
    intervals = []
    for chance in (0.0, 0.5, 1.0):
        rig.chance = chance
        intervals.append(rig.follower.interval())
        assert rig.follower.look() == intervals[-1]
    assert intervals == [22.5, 30.0, 37.5]


def test_a_new_version_is_tried_out_and_then_served(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rig.store.number = 2
    rig.look()
    assert rig.server.model == ModelStamp("by-title", "v2", 2)
    assert rig.tried == ["v2"]
    assert rig.n_swaps == 1
    (line,) = [record for record in caplog.records if record.getMessage() == "model swapped"]
    assert vars(line)["registered_version"] == 2
    assert vars(line)["previous_model_version"] == "v1"


def test_the_way_back_is_a_swap_like_any_other(rig: Rig) -> None:
    for number in (2, 1):
        rig.store.number = number
        rig.look()
    assert rig.server.model == ModelStamp("by-title", "v1", 1)
    assert rig.n_swaps == 2


@pytest.mark.parametrize(
    "error",
    [BundleError("trees.txt is damaged"), SetupError("model version 2 not found")],
    ids=["damaged", "gone"],
)
def test_a_version_that_cannot_be_served_is_refused_once_and_the_old_one_stays(
    rig: Rig, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    rig.store.number, rig.store.broken = 2, {2: error}
    assert rig.look(5) == [POLL_SECONDS] * 5
    assert rig.server.model.version == "v1"
    assert rig.store.loaded == [2]
    assert (rig.n_swaps, rig.n_failures) == (0, 1)
    assert messages(caplog) == ["model refused, the old one stays"]
    assert vars(caplog.records[0])["reason"] == str(error)


def test_a_version_that_decides_on_nothing_is_refused(rig: Rig) -> None:
    rig.store.number, rig.unfit = 2, {"v2": SetupError("no column title")}
    rig.look(2)
    assert rig.server.model.version == "v1"
    assert rig.tried == ["v2"]


def test_after_a_bad_version_a_good_one_is_taken(rig: Rig) -> None:
    rig.store.number, rig.store.broken = 2, {2: BundleError("damaged")}
    rig.look()
    rig.store.number = 3
    rig.look()
    assert rig.server.model.version == "v3"


def test_who_announces_a_refused_version_again_has_it_tried_again(rig: Rig) -> None:
    rig.store.number, rig.store.broken = 2, {2: BundleError("damaged")}
    rig.look(2)
    del rig.store.broken[2]
    rig.look()
    assert rig.server.model.version == "v1"
    rig.look(is_announced=True)
    assert rig.server.model.version == "v2"


def test_a_version_that_cannot_be_fetched_is_tried_again_after_longer_and_longer_pauses(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.store.number, rig.store.broken = 2, {2: DependencyUnavailableError("the store does not answer")}
    assert rig.look(4) == [1.0, 2.0, 4.0, 8.0]
    assert rig.store.loaded == [2] * 4
    assert set(messages(caplog)) == {"model not loaded, the old one stays"}
    rig.look(60)
    assert len(rig.store.loaded) < 20, "in the end a try takes place every ten minutes"
    assert rig.look() == [POLL_SECONDS], "the alias is looked at as often as ever"
    rig.store.broken.clear()
    rig.look(30)
    assert rig.server.model.version == "v2"


def test_an_error_that_nobody_thought_of_keeps_the_old_model_and_is_given_up_after_three_tries(rig: Rig) -> None:
    rig.store.number, rig.store.broken = 2, {2: ZeroDivisionError("in the loader")}
    rig.look(10)
    assert rig.store.loaded == [2] * 3
    assert rig.server.model.version == "v1"
    assert rig.n_failures == 3


def test_a_store_that_is_away_is_asked_again_soon_and_then_at_the_interval(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.store.away = DependencyUnavailableError("MLflow does not answer")
    assert rig.look(7) == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert rig.n_failures == 7
    assert vars(caplog.records[0])["retry_in_seconds"] == 1.0
    rig.store.away, rig.store.number = None, 2
    rig.look()
    assert rig.server.model.version == "v2"
    rig.store.away = DependencyUnavailableError("away again")
    assert rig.look() == [1.0]


def test_an_alias_that_is_gone_is_no_reason_to_hurry_or_to_stop(rig: Rig) -> None:
    rig.store.away = SetupError("alias champion not found")
    assert rig.look(3) == [POLL_SECONDS] * 3
    assert rig.server.model.version == "v1"
    assert rig.n_failures == 3
