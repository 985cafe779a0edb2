"""Every command of the pages is run, in the order in which a reader meets them.

README's quick start comes first: it trains the model and starts the worker that the other pages go on with.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from confluent_kafka.admin import AdminClient

from compose.sockets import free_ports
from tests.integration.guides.workspace import ALREADY_DONE, Ran, Workspace, path_with_this_environment
from tests.pages import Block, page_names, read_blocks

pytestmark = pytest.mark.integration

_REPOSITORY: Final = Path(__file__).parents[3]
_START: Final = "README.md"
_PAGES: Final = [
    page
    for page in page_names(_REPOSITORY)
    if page != _START and any(block.is_run for block in read_blocks(_REPOSITORY, page))
]


@pytest.fixture(scope="module")
def workspace(bootstrap: str, registry_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A reader's folder, with topics of its own."""
    prefix = f"g{uuid.uuid4().hex[:10]}."
    worker_port, gateway_port = free_ports(2)
    workspace = Workspace(
        tmp_path_factory.mktemp("reader"),
        repository=_REPOSITORY,
        prefix=prefix,
        addresses={
            "127.0.0.1:9092": bootstrap,
            "http://127.0.0.1:8081/apis/ccompat/v7": registry_url,
            "127.0.0.1:6066": f"127.0.0.1:{worker_port}",
            "127.0.0.1:8080": f"127.0.0.1:{gateway_port}",
        },
        environment={
            "PATH": path_with_this_environment(),
            "PYTHONUNBUFFERED": "1",
            "SORTLINE_BOOTSTRAP": bootstrap,
            "SORTLINE_REGISTRY_URL": registry_url,
            "SORTLINE_TOPIC_PREFIX": prefix,
            "SORTLINE_GROUP_ID": f"{prefix}workers",
            "SORTLINE_WEB_PORT": str(worker_port),
            "SORTLINE_HTTP_PORT": str(gateway_port),
        },
    )
    try:
        yield workspace
    finally:
        workspace.close()
        admin = AdminClient({"bootstrap.servers": bootstrap})
        left = [topic for topic in admin.list_topics(timeout=10).topics if topic.startswith(prefix)]
        for deleted in admin.delete_topics(left).values() if left else ():
            deleted.result(10)


@pytest.fixture(scope="module")
def started(workspace: Workspace) -> Ran:
    """What README's commands came to."""
    return workspace.run(read_blocks(_REPOSITORY, _START), stays=True)


def test_the_quick_start_works(started: Ran, workspace: Workspace) -> None:
    _assert_done(read_blocks(_REPOSITORY, _START), started, workspace)


@pytest.mark.parametrize("page", _PAGES)
def test_the_commands_of_a_guide_work_after_those_of_the_quick_start(
    page: str, workspace: Workspace, started: Ran
) -> None:
    if started.exit_code != 0:
        pytest.fail(f"the commands of {_START} failed, which this page goes on from")
    blocks = read_blocks(_REPOSITORY, page)
    ran = workspace.run(blocks)
    _assert_done(blocks, ran, workspace)
    if ran.skipped:
        pytest.skip("; ".join(f"{where} not run: no {program} here" for where, program in ran.skipped.items()))


def test_what_is_taken_for_done_stands_in_a_page() -> None:
    lines = {
        line.partition("#")[0].rstrip()
        for page in page_names(_REPOSITORY)
        for block in read_blocks(_REPOSITORY, page)
        for line in block.text.splitlines()
    }
    assert set(ALREADY_DONE) <= lines


def _assert_done(blocks: list[Block], ran: Ran, workspace: Workspace) -> None:
    last = list(ran.printed)[-1]
    assert ran.exit_code == 0, f"{last} failed with {ran.exit_code}:\n{ran.printed[last]}"
    before: Block | None = None
    for block in blocks:
        if "output" in block.marks and before is not None and before.where in ran.printed:
            missing = ran.missing(before, workspace.as_here(block.text))
            assert missing is None, f"{block.where}: no line {missing!r} in\n{ran.printed[before.where]}"
        if block.language == "sh":
            before = block
