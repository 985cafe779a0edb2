"""What a benchmark needs and brings up itself: a stack, a model, topics, the peers' environments."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import platform
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from confluent_kafka.admin import AdminClient

from benchmarks.fault_harness.stacks import own_stack
from benchmarks.harness.product_events import SAMPLE
from benchmarks.harness.ways import Surroundings, Way
from benchmarks.peers.plain_model import export
from compose.services import Endpoints
from compose.stack import default_cache_dir
from compose.turns import one_at_a_time
from models.bundle import load_bundle
from schemas.registry import SchemaRegistry
from schemas.topics import TopicNames, contracts
from sortline.demo.surroundings import sigterm_as_interrupt
from sortline.topics import apply_topics

Say = Callable[[str], None]

_PEERS: Final = Path(__file__).resolve().parents[1] / "peers"


def add_arguments(parser: argparse.ArgumentParser, *, can_save: bool = False) -> None:
    """Add the options that every benchmark has, and --save for those whose tables are in docs/performance.md."""
    parser.add_argument("--bootstrap", help="a running Kafka; with --registry. Without: a stack of its own")
    parser.add_argument("--registry", help="its schema registry")
    parser.add_argument("--engine", choices=("auto", "docker", "jvm"), default="auto", help="of the own stack")
    parser.add_argument("--model", type=Path, help="folder of a bundle; otherwise one is trained on the sample")
    parser.add_argument("--partitions", type=int, default=6)
    parser.add_argument("--json", type=Path, help="also write the report there")
    if can_save:
        parser.add_argument(
            "--save", action="store_true", help="write the report to benchmarks/results and docs/performance.md"
        )


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the command line; ends the program if the options do not go together."""
    args = parser.parse_args()
    if (args.bootstrap is None) != (args.registry is None):
        parser.error("--bootstrap and --registry go together")
    return args


@contextlib.contextmanager
def surroundings(args: argparse.Namespace, ways: Sequence[Way], say: Say) -> Iterator[Surroundings]:
    """Bring up what is needed and take down afterwards what was brought up."""
    with sigterm_as_interrupt(), contextlib.ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="sortline-bench-")))
        if args.bootstrap:
            endpoints = Endpoints(bootstrap=args.bootstrap, registry_url=args.registry)
        else:
            endpoints, _ = cleanup.enter_context(own_stack(args.engine, folder / "stack", say))
        bundle = args.model.absolute() if args.model else train_on_sample(folder / "bundle", say)
        yield Surroundings(
            bootstrap=endpoints.bootstrap,
            registry=endpoints.registry_url,
            bundle=bundle,
            plain_model=export(load_bundle(bundle), folder / "plain-model"),
            folder=folder,
            pythons=peer_pythons(ways, say),
        )


@contextlib.contextmanager
def own_topics(bootstrap: str, registry: SchemaRegistry, partitions: int) -> Iterator[TopicNames]:
    """Create topics under a prefix of their own, and remove them afterwards."""
    names = TopicNames.with_prefix(f"bench{uuid.uuid4().hex[:8]}.")
    apply_topics(bootstrap=bootstrap, registry=registry, names=names, partitions=partitions)
    try:
        yield names
    finally:
        admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 4})  # warnings
        for future in admin.delete_topics([one.topic for one in contracts(names)]).values():
            future.result()


def peer_pythons(ways: Sequence[Way], say: Say) -> Mapping[str, Path]:
    """Return the interpreter of each environment that the ways need."""
    names = sorted({one.environment for one in ways if one.environment})
    return {name: peer_environment(name, default_cache_dir(), say) for name in names}


def peer_environment(name: str, cache: Path, say: Say) -> Path:
    """Return the interpreter of an environment with exactly what `requirements-<name>.txt` pins.

    It is made once and kept in `cache`. Raises subprocess.CalledProcessError if the packages cannot be had.
    """
    requirements = _PEERS / f"requirements-{name}.txt"
    pinned = f"{platform.python_version()} {requirements.read_text(encoding='utf-8')}"
    folder = cache / f"bench-{name}-{hashlib.sha256(pinned.encode()).hexdigest()[:12]}"
    python, mark = folder / "bin" / "python", folder / "installed"
    with one_at_a_time(folder):
        if not mark.exists():
            say(f"Installing the peers of {requirements.name} into {folder}")
            _install(requirements, folder)
            mark.touch()
    return python


def _install(requirements: Path, folder: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    uv = Path(sys.executable).parent / "uv"  # the project's environment has it, and it is much faster
    python = str(folder / "bin" / "python")
    if uv.exists():
        # Compiled at once: a peer whose first start compiles its imports starts long after it was told to.
        install = [str(uv), "pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode", "--python", python]
    else:
        install = [python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r"]
    subprocess.run([*install, str(requirements)], check=True)


def train_on_sample(to: Path, say: Say) -> Path:
    """Train a model on the sample catalogue into the folder `to`, and return it. Raises SystemExit."""
    say("Training a model on the sample catalogue")
    command = [sys.executable, "-m", "sortline", "train", "--from", str(SAMPLE), "--to", str(to), "--no-tracking"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"training failed:\n{done.stderr[-2_000:]}")
    return to
