from __future__ import annotations

import http.server
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from schemas.avro_files import load_schema
from schemas.errors import DependencyUnavailableError, InvalidRecordError, SetupError
from schemas.registry import ConfluentRegistry, InMemoryRegistry, SchemaRegistry
from schemas.wire import SchemaId
from tests.unit.schemas.registry_contract import RegistryContract


class TestInMemoryRegistry(RegistryContract):
    @pytest.fixture
    def registry(self) -> SchemaRegistry:
        return InMemoryRegistry()

    def test_one_schema_of_two_subjects_has_one_id(self) -> None:
        registry = InMemoryRegistry()
        text = load_schema("product_categorized")
        assert registry.register("categorized", text) == registry.register("review", text)


Answer = tuple[int, bytes]


class Scripted(http.server.ThreadingHTTPServer):
    """Gives prepared answers in order, the last one for ever, and remembers what it was asked."""

    def __init__(self, answers: list[Answer]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = answers
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://user:s3cret@127.0.0.1:{self.server_address[1]}/apis/ccompat/v7/"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Scripted

    def do_GET(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        status, body = self.server.answers[0] if len(self.server.answers) == 1 else self.server.answers.pop(0)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_GET  # noqa: N815 - the names that http.server calls

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class names it
        """Keep quiet."""


@pytest.fixture
def scripted() -> Iterator[Callable[..., tuple[Scripted, ConfluentRegistry]]]:
    servers: list[tuple[Scripted, ConfluentRegistry]] = []

    def start(*answers: Answer) -> tuple[Scripted, ConfluentRegistry]:
        server = Scripted(list(answers))
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append((server, ConfluentRegistry(server.url, timeout_seconds=2.0)))
        return servers[-1]

    yield start
    for server, registry in servers:
        registry.close()
        server.shutdown()
        server.server_close()


def answer(status: int, **content: Any) -> Answer:
    return status, json.dumps(content).encode()


CALLS: dict[str, Callable[[SchemaRegistry], object]] = {
    "schema_by_id": lambda registry: registry.schema_by_id(SchemaId(1)),
    "register": lambda registry: registry.register("s", "{}"),
    "set_compatibility": lambda registry: registry.set_compatibility("s", "FULL"),
    "latest": lambda registry: registry.latest("s"),
    "subjects": lambda registry: registry.subjects(),
}
every_call = pytest.mark.parametrize("call", CALLS)


@every_call
@pytest.mark.parametrize(
    "bad",
    [
        answer(500, error_code=50001, message="store is down"),
        answer(503),
        answer(429, error_code=42901, message="slow down"),
        answer(401, error_code=40101, message="who are you"),
        answer(404, title="no such path"),
        (404, b"<html>not here</html>"),
        (200, b"<html>a login page</html>"),
        (200, b""),
    ],
    ids=lambda case: f"{case[0]} {case[1][:20]!r}",
)
def test_an_answer_that_says_nothing_about_schemas_is_no_answer(
    scripted: Callable[..., tuple[Scripted, ConfluentRegistry]], call: str, bad: Answer
) -> None:
    server, registry = scripted(bad)
    with pytest.raises(DependencyUnavailableError) as raised:
        CALLS[call](registry)
    sentence = str(raised.value)
    assert sentence.startswith(
        f"the schema registry at http://127.0.0.1:{server.server_address[1]}/apis/ccompat/v7"
    )
    assert "s3cret" not in sentence


@every_call
def test_a_passing_fault_is_tried_once_more(
    scripted: Callable[..., tuple[Scripted, ConfluentRegistry]], call: str
) -> None:
    good: Answer = (200, b'["s"]') if call == "subjects" else answer(200, id=1, schema="{}")
    server, registry = scripted(answer(503), good)
    CALLS[call](registry)
    assert len(server.asked) == 2
    assert server.asked[0] == server.asked[1]


def test_an_unknown_id_is_asked_for_once_and_is_the_record_s_fault(
    scripted: Callable[..., tuple[Scripted, ConfluentRegistry]],
) -> None:
    server, registry = scripted(answer(404, error_code=40403, message="Schema 7 not found."))
    with pytest.raises(InvalidRecordError, match="schema id 7 is not known to the registry"):
        registry.schema_by_id(SchemaId(7))
    assert server.asked == ["GET /apis/ccompat/v7/schemas/ids/7"]


@pytest.mark.parametrize("status", [409, 422])
def test_a_refused_schema_is_a_fault_of_the_set_up(
    scripted: Callable[..., tuple[Scripted, ConfluentRegistry]], status: int
) -> None:
    _, registry = scripted(answer(status, error_code=status, message="incompatible with version 1"))
    with pytest.raises(SetupError, match=r"subject s refuses the schema \(incompatible with version 1\)"):
        registry.register("s", "{}")


@every_call
def test_a_registry_that_is_down_is_said_to_be_so_at_once(call: str) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        registry = ConfluentRegistry(url)
        started = time.monotonic()
        with pytest.raises(DependencyUnavailableError, match=url):
            CALLS[call](registry)
        assert time.monotonic() - started < 2
        registry.close()


def test_a_registry_that_hangs_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:  # accepts, and never answers
        registry = ConfluentRegistry(f"http://127.0.0.1:{listening.getsockname()[1]}", timeout_seconds=0.4)
        started = time.monotonic()
        with pytest.raises(DependencyUnavailableError, match="ReadTimeout"):
            registry.schema_by_id(SchemaId(1))
        assert time.monotonic() - started < 2
        registry.close()


@pytest.mark.parametrize("url", ["localhost:8081", "kafka://host", "http://", "http://host:port", ""])
def test_an_address_that_is_none_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(SetupError, match="the schema registry's address"):
        ConfluentRegistry(url)
