"""One scenario from beginning to end: topics, workers, load, faults, account."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import random
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from benchmarks.fault_harness.account import Account, Watcher, open_transactions, take_account
from benchmarks.fault_harness.events import Events, Load, Place, Templates
from benchmarks.fault_harness.scenarios import SCENARIOS, ScenarioName, Scene
from benchmarks.fault_harness.stacks import Broker
from benchmarks.fault_harness.workers import FaultError, WorkerCommand, Workers, wait_for
from compose.services import Endpoints
from schemas.registry import ConfluentRegistry
from schemas.topics import TopicNames, contracts
from sortline.topics import apply_topics

Delivery = Literal["at-least-once", "exactly-once"]

#: Slower than this nobody is waited for when the last events are to come out.
_LEAST_EVENTS_A_SECOND: Final = 500
_DRAIN_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do.

    Attributes:
        scenario: which fault.
        delivery: what the workers promise.
        events: how many events.
        repetitions: how many faults.
        workers: how many of them.
        partitions: of every topic.
        rate: events a second, while faults happen.
        seed: of events, moments and victims.
        session_seconds: of the workers; after so much silence their partitions are given away.
        fault_seconds: how long the broker is away or refuses.
        batch_seconds: how long the slow model takes for a batch.
    """

    scenario: ScenarioName
    delivery: Delivery = "at-least-once"
    events: int = 20_000
    repetitions: int = 3
    workers: int = 2
    partitions: int = 6
    rate: int = 4_000
    seed: int = 1
    session_seconds: float = 10.0
    fault_seconds: float = 15.0
    batch_seconds: float = 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of it.

    Attributes:
        plan: what was to be done.
        seconds: how long it took, the account not included.
        faults: how many faults were done.
        account: of the outputs; None if it could not be taken.
        longest_pause: seconds without any output while there was something to put out.
        pauses: the longest of these during each fault and its share of the events.
        longest_wait: most seconds from an event to its output.
        restarts: how often a worker was started again.
        exits: exit codes of the workers' processes, and how often.
        stall: why the run did not get to its end, if it did not.
    """

    plan: Plan
    seconds: float
    faults: int
    account: Account | None
    longest_pause: float
    pauses: list[float]
    longest_wait: float
    restarts: int
    exits: dict[int, int] = field(default_factory=dict)
    stall: str = ""

    def problems(self) -> list[str]:
        """Return a sentence for everything that breaks the promise of the delivery; none if it held."""
        account = self.account
        if account is None:
            return [f"no account: {self.stall}"]
        found = {
            "the run stalled: " + self.stall: bool(self.stall),
            f"{account.total('missing')} events are missing": account.total("missing") > 0,
            f"{account.misattributed} outputs name another input": account.misattributed > 0,
        }
        # Outputs that the broker refused are dead letters by design; a repetition may then meet a willing broker.
        is_refusal = self.plan.scenario == "produce-error"
        n_astray = sum(
            one.elsewhere for one in account.topics if not (is_refusal and one.place is not Place.DEAD_LETTERS)
        )
        found[f"{n_astray} events are in a place where they do not belong"] = n_astray > 0
        is_exact = self.plan.delivery == "exactly-once"
        found[f"{account.total('repeated')} records are repeated"] = is_exact and account.total("repeated") > 0
        found[f"{account.in_two_places} events are in two places"] = account.in_two_places > 0 and (
            is_exact or not is_refusal
        )
        return [sentence for sentence, is_so in found.items() if is_so]


def run(
    plan: Plan,
    *,
    endpoints: Endpoints,
    broker: Broker | None,
    model: Path,
    templates: Templates,
    folder: Path,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Result:
    """Run a plan against a stack, in topics of its own; blocks until all is counted or something took too long.

    `progress` is told what is going on, how many events came out, and how many faults were done. Logs of the
    workers are in the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    prefix = f"faults{uuid.uuid4().hex[:8]}."
    names = TopicNames.with_prefix(prefix)
    with _topics(endpoints, names, plan.partitions) as registry:
        schema_id = registry.latest(f"{names.created}-value")
        if schema_id is None:
            raise FaultError("the schema of the input is not registered")
        events = Events(plan.events, templates=templates, schema_id=schema_id, seed=plan.seed)
        workers = Workers(_commands(plan, endpoints, model, prefix), folder)
        load = Load(events, bootstrap=endpoints.bootstrap, topic=names.created, rate=plan.rate)
        watcher = Watcher(bootstrap=endpoints.bootstrap, names=names, load=load)
        run_of_faults = _Faults(plan, workers, load, watcher, progress)
        scene = Scene(
            workers=workers,
            broker=broker,
            bootstrap=endpoints.bootstrap,
            names=names,
            random=random.Random(plan.seed),
            session_seconds=plan.session_seconds,
            fault_seconds=plan.fault_seconds,
        )
        started = time.monotonic()
        stall = ""
        account: Account | None = None
        try:
            try:
                run_of_faults.go(scene)
            except (FaultError, KafkaException) as error:
                stall = str(error)
            load.end()
            workers.stop()
            watcher.end()
            seconds = time.monotonic() - started
            progress("counting", watcher.n_seen, run_of_faults.n_done)
            outputs = [place.topic(names) for place in Place]
            wait_for("open transactions to end", lambda: not open_transactions(endpoints.bootstrap, outputs))
            account = take_account(bootstrap=endpoints.bootstrap, names=names, expected=events.expected)
        except (FaultError, KafkaException) as error:
            seconds = time.monotonic() - started
            stall = f"{stall}; {error}" if stall else str(error)
        finally:
            workers.kill()
            load.end()
            watcher.end()
        return Result(
            plan=plan,
            seconds=seconds,
            faults=run_of_faults.n_done,
            account=account,
            longest_pause=watcher.longest_pause,
            pauses=run_of_faults.pauses,
            longest_wait=watcher.longest_wait,
            restarts=workers.n_restarts,
            exits=dict(workers.exits),
            stall=stall,
        )


class _Faults:
    """Lets the events out share by share, with one fault at a random moment of each."""

    def __init__(
        self,
        plan: Plan,
        workers: Workers,
        load: Load,
        watcher: Watcher,
        progress: Callable[[str, int, int], None],
    ) -> None:
        self.n_done = 0
        self.pauses: list[float] = []
        self._plan = plan
        self._workers = workers
        self._load = load
        self._watcher = watcher
        self._progress = progress

    def go(self, scene: Scene) -> None:
        """Do it all, and wait until every event came out. Raises FaultError if something takes too long."""
        plan, load = self._plan, self._load
        self._progress("starting workers", 0, 0)
        self._workers.start()
        load.start()
        self._watcher.start()
        moments = random.Random(plan.seed)
        bounds = [plan.events * i // plan.repetitions for i in range(plan.repetitions + 1)]
        for number, (start, stop) in enumerate(itertools.pairwise(bounds)):
            load.allow(stop)
            moment = start + int((stop - start) * moments.uniform(0.1, 0.9))
            self._watch(f"share {number + 1}", lambda moment=moment: load.n_sent >= moment)  # type: ignore[misc]
            self._progress(plan.scenario, self._watcher.n_seen, number)
            SCENARIOS[plan.scenario](scene, number)
            self.n_done = number + 1
            self.pauses.append(self._watcher.take_pause())
        self._watch("the last events to be sent", lambda: load.n_sent >= plan.events)
        self._watch("all events to come out", lambda: self._watcher.n_seen >= plan.events)
        self.pauses.append(self._watcher.take_pause())

    def _watch(self, what: str, is_so: Callable[[], bool]) -> None:
        def look() -> bool:
            self._workers.supervise()
            self._progress(what, self._watcher.n_seen, self.n_done)
            return is_so()

        wait_for(what, look, _DRAIN_SECONDS + self._plan.events / min(self._plan.rate, _LEAST_EVENTS_A_SECOND))


def _commands(plan: Plan, endpoints: Endpoints, model: Path, prefix: str) -> list[WorkerCommand]:
    from sortline.worker import worker

    arguments = [
        "worker", "--model", str(model), "--bootstrap", endpoints.bootstrap,
        "--registry", endpoints.registry_url, "--topic-prefix", prefix, "--group-id", f"{prefix}workers",
    ]  # fmt: skip
    if "delivery" in inspect.signature(worker).parameters:
        arguments += ["--delivery", plan.delivery]
    elif plan.delivery != "at-least-once":
        raise FaultError("`sortline worker` has no --delivery")
    variables = {"SORTLINE_SESSION_TIMEOUT_SECONDS": str(plan.session_seconds)}
    slow = [plan.batch_seconds if plan.scenario == "slow-model" and i == 0 else 0.0 for i in range(plan.workers)]
    return [WorkerCommand(arguments=tuple(arguments), variables=variables, slow_seconds=one) for one in slow]


@contextlib.contextmanager
def _topics(endpoints: Endpoints, names: TopicNames, partitions: int) -> Iterator[ConfluentRegistry]:
    with contextlib.closing(ConfluentRegistry(endpoints.registry_url)) as registry:
        apply_topics(bootstrap=endpoints.bootstrap, registry=registry, names=names, partitions=partitions)
        try:
            yield registry
        finally:
            admin = AdminClient({"bootstrap.servers": endpoints.bootstrap, "log_level": 0})
            wait(admin.delete_topics([one.topic for one in contracts(names)]).values(), timeout=10.0)
