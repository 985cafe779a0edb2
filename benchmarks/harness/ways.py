"""The ways to process the events, and how the process of each is started."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from benchmarks.harness.processes import Running, run_process
from benchmarks.peers.task import Task
from compose.sockets import free_ports
from schemas.topics import TopicNames

_PEERS: Final = Path(__file__).resolve().parents[1] / "peers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to process the events.

    Attributes:
        name: on the command line and in the JSON file.
        title: in the tables.
        kind: `floor` does no work, `worker` is this project, `peer` is somebody else's framework.
        script: of a peer or the floor, in `benchmarks/peers`.
        variant: of the script.
        delivery: of the worker.
        environment: of a peer: the one that `requirements-<environment>.txt` describes.
    """

    name: str
    title: str
    kind: Literal["floor", "worker", "peer"]
    script: str = ""
    variant: str = ""
    delivery: str = ""
    environment: str = ""


WAYS: Final = (
    Way(name="floor", title="librdkafka pass-through, no work", kind="floor", script="floor.py"),
    Way(name="at-least-once", title="sortline, at-least-once", kind="worker", delivery="at-least-once"),
    Way(name="exactly-once", title="sortline, exactly-once", kind="worker", delivery="exactly-once"),
    Way(
        name="plain", title="plain confluent-kafka loop", kind="peer", script="plain_loop.py", environment="plain"
    ),
    Way(name="faust", title="stock Faust, `take`", kind="peer", script="faust_app.py", environment="plain"),
    Way(
        name="quix",
        title="Quix Streams, `apply`",
        kind="peer",
        script="quix_app.py",
        variant="apply",
        environment="quix",
    ),
    Way(
        name="quix-sink",
        title="Quix Streams, batches in a sink",
        kind="peer",
        script="quix_app.py",
        variant="sink",
        environment="quix",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all ways share.

    Attributes:
        bootstrap, registry: Kafka and the schema registry.
        bundle: the model, for the worker.
        plain_model: the same model as `plain_model.export` wrote it, for peers.
        pythons: the interpreter of each environment that peers run in.
        folder: for logs and tasks.
    """

    bootstrap: str
    registry: str
    bundle: Path
    plain_model: Path
    folder: Path
    pythons: Mapping[str, Path] = field(default_factory=dict)


def way(name: str) -> Way:
    """Return the way of this name. Raises KeyError."""
    return {one.name: one for one in WAYS}[name]


@contextlib.contextmanager
def running(
    one: Way, surroundings: Surroundings, *, names: TopicNames, group: str, is_live: bool = False
) -> Iterator[Running]:
    """Start a way as a process, and tell it to stop afterwards; killed if it does not.

    The floor writes all to the categorized topic. Raises SystemExit if it had to be killed or ended by itself.
    """
    log_file = surroundings.folder / f"{group}.log"
    metrics = None
    if one.kind == "worker":
        (port,) = free_ports(1)
        metrics = f"http://127.0.0.1:{port}/metrics"
        command = [
            sys.executable, "-m", "sortline", "worker",
            "--model", str(surroundings.bundle),
            "--bootstrap", surroundings.bootstrap, "--registry", surroundings.registry,
            "--topic-prefix", names.created.removesuffix(TopicNames().created),
            "--group-id", group, "--web-port", str(port), "--delivery", one.delivery,
        ]  # fmt: skip
    else:
        task = Task(
            bootstrap=surroundings.bootstrap,
            registry=surroundings.registry,
            topic=names.created,
            categorized=names.categorized,
            review=names.review,
            group=group,
            model=str(surroundings.plain_model),
            is_live=is_live,
            variant=one.variant,
        ).write(surroundings.folder / f"{group}.json")
        python = surroundings.pythons[one.environment] if one.environment else sys.executable
        command = [str(python), str(_PEERS / one.script), str(task)]
    with run_process(command, log_file, metrics=metrics) as now:
        yield now
