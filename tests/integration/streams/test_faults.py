"""Scenarios of the fault harness, short: what benchmarks/faults.py counts at length holds here too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

import pytest

from benchmarks.fault_harness.account import Account
from benchmarks.fault_harness.events import Templates, decide_templates
from benchmarks.fault_harness.run import Delivery, Plan, Result, run
from compose.services import Endpoints
from streams.worker import EXIT_HALTED, EXIT_TRANSACTION
from tests.tiny_model import tiny_products

if TYPE_CHECKING:
    from tests.integration.conftest import Broker

pytestmark = pytest.mark.integration

Run = Callable[..., Result]

#: The shortest session that a broker takes by default.
SESSION_SECONDS: Final = 6.0


@pytest.fixture(scope="session")
def templates(bundle: Path) -> Templates:
    return decide_templates(bundle, tiny_products())


@pytest.fixture
def short_run(bundle: Path, templates: Templates, bootstrap: str, registry_url: str, tmp_path: Path) -> Run:
    def do(*, broker: Broker | None = None, **plan: Any) -> Result:
        defaults = {
            "delivery": "exactly-once",
            "rate": 2_000,
            "partitions": 3,
            "session_seconds": SESSION_SECONDS,
            "seed": 7,
        }
        return run(
            Plan(**{**defaults, **plan}),
            endpoints=Endpoints(bootstrap=bootstrap, registry_url=registry_url),
            broker=broker,
            model=bundle,
            templates=templates,
            folder=tmp_path,
        )

    return do


def checked(result: Result) -> Account:
    """Return the account of a run that got to its end, kept the promise, and wrote to all three outputs."""
    assert result.problems() == []
    assert result.faults == result.plan.repetitions
    assert result.account is not None
    assert result.account.total("events") == result.plan.events
    assert all(topic.events > 0 for topic in result.account.topics)
    return result.account


@pytest.mark.parametrize("delivery", get_args(Delivery))
def test_a_killed_worker_loses_nothing(short_run: Run, delivery: Delivery) -> None:
    result = short_run(scenario="kill", delivery=delivery, events=3_000, repetitions=1)
    checked(result)
    assert result.exits == {-9: 1, 0: 2}
    assert 0 < result.longest_pause < 3 * SESSION_SECONDS


def test_a_frozen_worker_that_wakes_after_its_session_writes_nothing_more(short_run: Run) -> None:
    result = short_run(scenario="zombie", events=3_000, repetitions=1)
    checked(result)
    assert result.exits == {EXIT_TRANSACTION: 1, 0: 2}


def test_workers_replaced_in_turn_lose_and_repeat_nothing(short_run: Run) -> None:
    result = short_run(scenario="rolling", events=4_000, repetitions=2)
    assert checked(result).total("repeated") == 0
    assert result.exits == {0: 4}


def test_a_broker_that_dies_and_comes_back_loses_nothing(short_run: Run, broker: Broker) -> None:
    checked(short_run(scenario="outage", events=3_000, repetitions=1, fault_seconds=2.0, broker=broker))


def test_a_broker_that_refuses_outputs_for_a_while_loses_nothing(short_run: Run) -> None:
    result = short_run(scenario="produce-error", events=6_000, repetitions=2, fault_seconds=2.0)
    account = checked(result)
    # The fault met the stream: as dead letters, or as a transaction that was written in part and given up.
    assert account.total("elsewhere") + account.total("aborted") > 0
    # Whether a worker meets the refusal of all three, and where, depends on the moment; how it ends does not.
    assert set(result.exits) <= {0, EXIT_HALTED, EXIT_TRANSACTION}


def test_a_model_slower_than_the_session_loses_and_repeats_nothing(short_run: Run) -> None:
    result = short_run(
        scenario="slow-model", events=1_000, repetitions=1, batch_seconds=SESSION_SECONDS + 1, rate=500
    )
    assert checked(result).total("repeated") == 0
    assert result.exits == {0: 3}
    assert result.longest_wait > SESSION_SECONDS
