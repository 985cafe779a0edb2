"""Partitions that change hands while events flow: workers join, leave, die, and come back under their names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import chain

import pytest

from tests.integration.streams.conftest import PATIENCE_SECONDS, Topics, WorkerProcess, source, wait_for
from tests.integration.streams.flow import Flow, Returning, check_once, partitions_of

pytestmark = pytest.mark.integration

NewWorker = Callable[..., WorkerProcess]


def _have_all(*workers: WorkerProcess) -> bool:
    """Whether each has partitions, and all three are theirs, each once."""
    found = [partitions_of(worker) for worker in workers]
    return all(found) and sorted(chain(*found)) == [0, 1, 2] and all(worker.is_ready() for worker in workers)


def _have_records(*workers: WorkerProcess) -> bool:
    return all(worker.metric("sortline_records_total") > 0 for worker in workers)


def _n_assignments(worker: WorkerProcess) -> int:
    return worker.log().count("partitions assigned")


@pytest.mark.parametrize(("delivery", "times"), [("exactly-once", 20), ("at-least-once", 3)])
def test_a_worker_that_joins_and_leaves_again_and_again_costs_no_event(
    stream: Topics, new_worker: NewWorker, delivery: str, times: int
) -> None:
    # Small slices, rare commits: each rebalance finds work in flight and, with exactly-once, open transactions.
    new = partial(new_worker, delivery=delivery, slice_rows=10, slices_in_flight=4, commit_interval_seconds=5.0)
    host, guest = (Returning(new()) for _ in range(2))
    with Flow(stream, rate=500) as flow:
        staying = host.join()
        wait_for("the host to have everything", partial(_have_all, staying))
        for _ in range(times):
            visiting = guest.join()
            wait_for("the guest to work", partial(_have_records, visiting))
            assert guest.leave() == 0
            wait_for("the host to have everything again", partial(_have_all, staying))
    if delivery == "exactly-once":
        check_once(stream, flow.n_events)
    else:
        assert len({source(one) for one in stream.outputs(flow.n_events)}) == flow.n_events
    assert host.leave() == 0
    assert stream.committed(staying.settings.group_id) == flow.n_events
    assert _n_assignments(staying) >= 1 + 2 * times


def test_a_worker_beyond_the_partitions_takes_over_from_one_that_is_killed(
    stream: Topics, new_worker: NewWorker
) -> None:
    new = partial(new_worker, delivery="exactly-once", slice_rows=50, commit_interval_seconds=2.0)
    workers = [new().start() for _ in range(4)]
    wait_for("three to be ready", lambda: sum(worker.is_ready() for worker in workers) == 3)
    (idle,) = [worker for worker in workers if not worker.is_ready()]
    victim = next(worker for worker in workers if worker is not idle)
    with Flow(stream, rate=500) as flow:
        wait_for("the victim to work", partial(_have_records, victim))
        assert not partitions_of(idle)
        victim.kill()
        wait_for("the idle one to work", partial(_have_records, idle))
    check_once(stream, flow.n_events)
    living = [worker for worker in workers if worker is not victim]
    assert sorted(len(partitions_of(worker)) for worker in living) == [1, 1, 1]
    assert [worker.stop() for worker in living] == [0, 0, 0]
    assert stream.committed(idle.settings.group_id) == flow.n_events


def test_a_member_with_a_name_that_comes_back_finds_its_partitions_and_disturbs_nobody(
    stream: Topics, new_worker: NewWorker
) -> None:
    # Nobody could wait for the end of such a session: what comes back within the patience comes back at once.
    new = partial(new_worker, delivery="exactly-once", session_timeout_seconds=2 * PATIENCE_SECONDS, slice_rows=50)
    members = [Returning(new(static_member=name)) for name in ("first", "other")]
    first, other = (member.join() for member in members)
    wait_for("all partitions to be shared out", partial(_have_all, first, other))
    before, theirs = partitions_of(first), partitions_of(other)
    with Flow(stream, rate=300) as flow:
        wait_for("both to work", partial(_have_records, first, other))
        n_assignments = _n_assignments(other)
        assert members[0].leave() == 0
        members[0].join()
        wait_for("the partitions to be back after a stop", lambda: partitions_of(first) == before)
        wait_for("work", partial(_have_records, first))

        first.kill()
        again = Returning(new(static_member="first"))
        heir = again.join()
        wait_for("the partitions to be back after a kill", lambda: partitions_of(heir) == before)
        wait_for("work", partial(_have_records, heir))
        assert partitions_of(other) == theirs
        assert _n_assignments(other) == n_assignments
    check_once(stream, flow.n_events)
    assert [member.leave() for member in (again, members[1])] == [0, 0]
    assert stream.committed(other.settings.group_id) == flow.n_events
