"""How the settings reach Faust, without a broker."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import pytest

from models.serving.served import ModelStamp
from schemas.avro_files import load_schema
from schemas.encoding import Encoder
from schemas.errors import DependencyUnavailableError, SetupError, StreamHaltedError, TransactionLostError
from schemas.wire import SchemaId
from streams.app import build_app
from streams.health import Health
from streams.loop_consumer import LoopConsumer
from streams.metrics import Counters
from streams.progress import ProgressWatch
from streams.settings import WorkerSettings
from streams.transport import Consumer, SliceSchema, Transport
from streams.worker import (
    EXIT_CLEAN,
    EXIT_CRASHED,
    EXIT_HALTED,
    EXIT_SETUP,
    EXIT_TRANSACTION,
    _exit_code,
    require_free_port,
)

if TYPE_CHECKING:
    import faust

    from tests.unit.streams.conftest import Workbench


class Apps(Protocol):
    def __call__(self, **settings: Any) -> faust.App: ...


@pytest.fixture
def app_for(workbench: Workbench) -> Iterator[Apps]:
    """Builds apps that are never started, and closes what they have opened all the same."""
    apps: list[faust.App] = []

    def build(**settings: Any) -> faust.App:
        app = build_app(
            WorkerSettings(model="nowhere", **settings),
            workbench.processor,
            swap_encoder=Encoder(load_schema("model_swap"), SchemaId(9)),
        )
        apps.append(app)
        return app

    yield build
    for app in apps:
        if app._consumer is not None:
            cast(Consumer, app._consumer)._thread.thread_loop.close()


async def test_the_app_is_a_faust_app_on_our_transport(app_for: Apps) -> None:
    app = app_for(bootstrap="one:9092, two:9093", group_id="sorters")
    assert app.conf.id == "sorters"
    assert isinstance(app.transport, Transport)
    assert [(url.scheme, url.host, url.port) for url in app.transport.url] == [
        ("kafkabatch", "one", 9092),
        ("kafkabatch", "two", 9093),
    ]


async def test_the_agent_takes_slices_one_at_a_time_and_a_crash_ends_the_app(app_for: Apps) -> None:
    app = app_for()
    (agent,) = app.agents.values()
    assert isinstance(agent.channel.schema, SliceSchema)
    assert agent.concurrency == 1
    assert agent.supervisor_strategy is not None
    assert agent.supervisor_strategy.__name__ == "CrashingSupervisor"


async def test_fetch_wait_and_isolation_reach_the_consumer(app_for: Apps) -> None:
    app = app_for(fetch_wait_seconds=0.123, slices_in_flight=5, slice_rows=77)
    consumer = app.consumer
    assert isinstance(consumer, Consumer)
    assert isinstance(consumer._thread, LoopConsumer)
    made = consumer._thread._create_worker_consumer(consumer.transport)
    assert made._fetch_max_wait_ms == 123
    assert made._isolation_level == "read_committed"
    assert made._enable_auto_commit is False
    assert made._max_poll_records == 154
    assert consumer.transport.options.slices_in_flight == 5
    await made.stop()


async def test_the_options_of_one_app_do_not_leak_into_another(app_for: Apps) -> None:
    first, second = app_for(slice_rows=1), app_for(slice_rows=2)
    assert [app.transport.options.slice_rows for app in (first, second)] == [1, 2]  # type: ignore[attr-defined]
    assert Transport.options.slice_rows == 2_000


async def test_the_delivery_is_as_set_and_only_a_transactional_one_takes_the_commit(app_for: Apps) -> None:
    plain, once = app_for(delivery="at-least-once"), app_for(commit_interval_seconds=30.0)
    assert plain.transport.options.commit is None  # type: ignore[attr-defined]
    assert once.transport.options.commit is not None  # type: ignore[attr-defined]


async def test_the_session_timeout_never_exceeds_the_request_timeout(app_for: Apps) -> None:
    for seconds in (6.0, 10.0, 300.0):
        conf = app_for(session_timeout_seconds=seconds).conf
        assert conf.broker_heartbeat_interval < conf.broker_session_timeout < conf.broker_request_timeout


async def test_a_worker_without_partitions_is_not_ready_and_says_so(app_for: Apps) -> None:
    app = app_for()
    health = Health(app, Counters(), ProgressWatch(stuck_after_seconds=30), model=lambda: ModelStamp("text", "1"))
    assert health.ready() == (
        503,
        {"ready": False, "problems": ["no partition is assigned to this worker"], "partitions": {}},
    )
    assert "sortline_records_total 0" in health.metrics()


async def test_during_a_rebalance_a_worker_is_not_ready(app_for: Apps) -> None:
    app = app_for()
    app.rebalancing = True
    health = Health(app, Counters(), ProgressWatch(stuck_after_seconds=30), model=lambda: ModelStamp("text", "1"))
    assert health.problems() == ["the group is rebalancing"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, EXIT_CLEAN),
        (RuntimeError("bug"), EXIT_CRASHED),
        (DependencyUnavailableError("away"), EXIT_CRASHED),
        (SetupError("no topic"), EXIT_SETUP),
        (StreamHaltedError("too many"), EXIT_HALTED),
        (TransactionLostError("fenced"), EXIT_TRANSACTION),
    ],
)
def test_the_exit_code_tells_a_supervisor_whether_to_start_again(error: Exception | None, code: int) -> None:
    assert _exit_code(error) == code


def test_a_port_that_is_taken_is_a_matter_of_set_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SetupError, match=rf"port {port} on 127\.0\.0\.1 cannot be opened .* web_port"):
            require_free_port("127.0.0.1", port)
    require_free_port("127.0.0.1", port)


def test_a_worker_that_hangs_while_stopping_leaves_at_the_deadline(repository: Path) -> None:
    program = (
        "import time\n"
        "from streams.deadline import deadline\n"
        "with deadline(0.2, exit_code=4):\n"
        "    print('hanging', flush=True)\n"
        "    time.sleep(60)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=repository, capture_output=True, text=True, timeout=50, check=False
    )
    assert (done.returncode, done.stdout) == (4, "hanging\n")
    assert "deadline for stopping passed" in done.stderr
