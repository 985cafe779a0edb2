"""A small model, and the command line as people run it."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from schemas.registry import ConfluentRegistry
from schemas.topics import TopicNames
from sortline.main import main
from sortline.sample import write_products
from sortline.sample_products import generate_products
from sortline.topics import apply_topics
from tests.integration.sortline.published import PARTITIONS, Published, publish


@dataclass(frozen=True, slots=True, kw_only=True)
class Printed:
    """What a command left behind."""

    exit_code: int
    stdout: str
    stderr: str


def run_sortline(*arguments: object) -> Printed:
    """Run `sortline` with these arguments, in this process: the imports are paid for once."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with redirect_stdout(stdout), redirect_stderr(stderr):
        exit_code = main([str(argument) for argument in arguments])
    return Printed(exit_code=exit_code, stdout=stdout.getvalue(), stderr=stderr.getvalue())


@pytest.fixture(scope="session")
def sample_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3,000 made-up products with their categories."""
    file = tmp_path_factory.mktemp("sample") / "products.parquet"
    write_products(generate_products(rows=3_000, seed=7), to=file)
    return file


@pytest.fixture(scope="session")
def bundle(sample_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text model of that sample."""
    to = tmp_path_factory.mktemp("model") / "bundle"
    trained = run_sortline("train", "--from", sample_file, "--no-tracking", "--to", to)
    assert trained.exit_code == 0, trained.stderr
    return to


@pytest.fixture
def prefix(topics: TopicNames) -> str:
    """What this test's topics begin with."""
    return topics.created.removesuffix(TopicNames().created)


@pytest.fixture
def registry(registry_url: str) -> Iterator[ConfluentRegistry]:
    with closing(ConfluentRegistry(registry_url)) as registry:
        yield registry


@pytest.fixture
def run(
    bootstrap: str, registry_url: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Printed]:
    """Run `sortline` on this test's own topics; an unexpected exit code fails the test."""
    monkeypatch.setenv("SORTLINE_BOOTSTRAP", bootstrap)
    monkeypatch.setenv("SORTLINE_REGISTRY_URL", registry_url)
    monkeypatch.setenv("SORTLINE_TOPIC_PREFIX", prefix)
    monkeypatch.setenv("SORTLINE_GROUP_ID", f"{prefix}workers")
    monkeypatch.setenv("SORTLINE_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")

    def run_here(*arguments: object, exit_code: int = 0) -> Printed:
        printed = run_sortline(*arguments)
        assert printed.exit_code == exit_code, printed.stderr
        return printed

    return run_here


@pytest.fixture(scope="session")
def published(bootstrap: str, registry_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """Topics in which a worker has published its decisions; tests only look, but for `Published.short_lived`."""

    def apply(names: TopicNames) -> None:
        with closing(ConfluentRegistry(registry_url)) as registry:
            apply_topics(bootstrap=bootstrap, registry=registry, names=names, partitions=PARTITIONS)

    prefix = f"t{uuid.uuid4().hex[:10]}."
    with publish(bootstrap, registry_url, prefix, tmp_path_factory.mktemp("published"), apply) as published:
        yield published
