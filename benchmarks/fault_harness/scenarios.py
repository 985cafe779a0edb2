"""The faults: each is done once in the middle of a share of the events, and returns when all workers are well."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from benchmarks.fault_harness.events import Place
from benchmarks.fault_harness.stacks import Broker
from benchmarks.fault_harness.workers import FaultError, Workers, wait_for
from schemas.topics import TopicNames

ScenarioName = Literal["kill", "zombie", "rolling", "outage", "produce-error", "slow-model"]

#: So small that no output fits: the broker answers "too large" to every one.
_TOO_SMALL: Final = "100"
_LIMIT: Final = "max.message.bytes"
_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a fault has to do with.

    Attributes:
        workers: of the group.
        broker: None where the stack is not ours to break.
        bootstrap: Kafka.
        names: of the topics.
        random: chooses victims.
        session_seconds: after so much silence the group gives a worker's partitions away.
        fault_seconds: how long the broker is away or refuses.
    """

    workers: Workers
    broker: Broker | None
    bootstrap: str
    names: TopicNames
    random: random.Random
    session_seconds: float
    fault_seconds: float

    def rest(self, seconds: float) -> None:
        """Let time pass, and start workers again that end meanwhile."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.workers.supervise()
            time.sleep(_POLL_SECONDS)


def kill(scene: Scene, _: int) -> None:
    """Kill -9 one worker, and start it again at once."""
    victim = scene.random.choice(scene.workers.all)
    with scene.workers.tended(victim):
        victim.signal(signal.SIGKILL)
        scene.workers.restart(victim)
    scene.workers.wait_ready()


def zombie(scene: Scene, _: int) -> None:
    """Freeze one worker until its partitions are given away, then let it go on with what it thinks is its own."""
    victim = scene.random.choice(scene.workers.all)
    others = [worker for worker in scene.workers.all if worker is not victim]
    victim.signal(signal.SIGSTOP)
    try:
        scene.rest(scene.session_seconds + 2)
        wait_for("the others to take over", lambda: all(worker.is_ready() for worker in others))
    finally:
        victim.signal(signal.SIGCONT)
    # It may end by itself, because it was fenced, or join again: it is watched for as long as that takes.
    scene.rest(1)
    scene.workers.wait_ready()


def rolling(scene: Scene, number: int) -> None:
    """Tell one worker after the other to stop, and start it again."""
    worker = scene.workers.all[number % len(scene.workers.all)]
    with scene.workers.tended(worker):
        worker.signal(signal.SIGTERM)
        scene.workers.restart(worker)
    scene.workers.wait_ready()


def outage(scene: Scene, _: int) -> None:
    """Kill the broker, and start it again after a while."""
    if scene.broker is None:
        raise FaultError("this stack's broker is not ours to kill")
    scene.broker.kill()
    try:
        scene.rest(scene.fault_seconds)
    finally:
        scene.broker.start()
    scene.workers.wait_ready()


def produce_error(scene: Scene, number: int) -> None:
    """Let the broker refuse outputs for a while.

    First those of the categorized and the review topic, which then become dead letters; the next time all three:
    then no worker can go on, each halts, and those that are started again halt again until the broker takes
    records. In turn.
    """
    topics = [place.topic(scene.names) for place in Place]
    refusing = topics[: 2 + number % 2]
    admin = AdminClient({"bootstrap.servers": scene.bootstrap, "log_level": 0})
    limits = _max_bytes(admin, refusing)
    _set_max_bytes(admin, dict.fromkeys(refusing, _TOO_SMALL))
    try:
        scene.rest(scene.fault_seconds)
    finally:
        _set_max_bytes(admin, limits)
    scene.workers.wait_ready()


def slow_model(scene: Scene, _: int) -> None:
    """Take the second worker out and in again while the first scores a batch for longer than the session lasts."""
    quick = scene.workers.all[1:]
    for worker in quick[:1]:
        with scene.workers.tended(worker):
            worker.signal(signal.SIGTERM)
            scene.workers.restart(worker)
    scene.workers.wait_ready()


SCENARIOS: Final[Mapping[ScenarioName, Callable[[Scene, int], None]]] = {
    "kill": kill,
    "zombie": zombie,
    "rolling": rolling,
    "outage": outage,
    "produce-error": produce_error,
    "slow-model": slow_model,
}


def _max_bytes(admin: AdminClient, topics: list[str]) -> dict[str, str]:
    answers = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic) for topic in topics])
    return {resource.name: str(answer.result(30)[_LIMIT].value) for resource, answer in answers.items()}


def _set_max_bytes(admin: AdminClient, limits: Mapping[str, str]) -> None:
    resources = [
        ConfigResource(
            ResourceType.TOPIC,
            topic,
            incremental_configs=[ConfigEntry(_LIMIT, limit, incremental_operation=AlterConfigOpType.SET)],
        )
        for topic, limit in limits.items()
    ]
    for answer in admin.incremental_alter_configs(resources).values():
        answer.result(30)
