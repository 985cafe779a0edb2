"""Limits on a server that runs, by clients that do what a well-behaved one would not."""

from __future__ import annotations

import http.client
import re
import select
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.unit.gateway.limited_server import MAX_BODY_BYTES, MAX_CONNECTIONS, MUCH_BYTES

POST = b"POST /count HTTP/1.1\r\nHost: gateway\r\n"


class Server:
    """The server's process."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._process = process
        self.port = port

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def client(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def holds(self, client: socket.socket) -> bool:
        """Whether it has its end of the connection open; the kernel may still have bytes of it to deliver."""
        port = client.getsockname()[1]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            own, other = (int(end.partition(":")[2], 16) for end in fields[1:3])
            if (own, other) == (self.port, port):
                return fields[9] != "0"  # the inode: none once the process has closed it
        return False

    def peak_bytes(self) -> int:
        """The most memory that it ever had."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found
        return int(found[1]) * 1024


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[Server]:
    command = [sys.executable, "-m", "tests.unit.gateway.limited_server"]
    with subprocess.Popen(command, cwd=repository, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield Server(process, int(process.stdout.readline()))
        process.terminate()


def _answer(connection: socket.socket) -> bytes:
    """Everything until the server closes."""
    received = b""
    while chunk := connection.recv(65_536):
        received += chunk
    return received


def _dribble(connection: socket.socket, content: Iterable[bytes]) -> bytes:
    """Send piece by piece until the server answers or closes; return the answer."""
    for piece in content:
        connection.sendall(piece)
        if select.select([connection], [], [], 0.02)[0]:
            break
    return _answer(connection)


def _ask(client: http.client.HTTPConnection, body: bytes | Iterable[bytes]) -> tuple[int, bytes]:
    client.request("POST", "/count", body=body)
    answer = client.getresponse()
    return answer.status, answer.read()


def _endless(piece: bytes) -> Iterator[bytes]:
    while True:
        yield piece


def test_headers_that_dribble_are_cut_off_and_who_keeps_a_connection_is_served_on(server: Server) -> None:
    with closing(server.client()) as client:
        assert _ask(client, b"12345") == (200, b"5")
        used = client.sock
        with server.connect() as slow:
            slow.sendall(POST)
            answer = _dribble(slow, _endless(b"x"))
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"application/problem+json" in answer
        assert _ask(client, b"123") == (200, b"3")
        assert client.sock is used


def test_the_second_request_s_headers_must_not_dribble_either(server: Server) -> None:
    with server.connect() as slow:
        slow.sendall(POST + b"Content-Length: 4\r\n\r\nfour")
        first = b""
        while not first.endswith(b"\r\n\r\n4"):
            first += slow.recv(65_536)
        assert first.startswith(b"HTTP/1.1 200 ")
        slow.sendall(POST)
        answer = _dribble(slow, _endless(b"x"))
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_who_connects_and_says_nothing_is_let_go(server: Server) -> None:
    with server.connect() as silent:
        assert _answer(silent) == b""


def test_headers_without_end_are_refused(server: Server) -> None:
    with server.connect() as client:
        client.sendall(POST + b"X-Long: ")
        answer = _dribble(client, _endless(b"x" * 16_384))
    assert answer.startswith(b"HTTP/1.1 431 ")


def test_a_body_that_dribbles_is_cut_off(server: Server) -> None:
    with server.connect() as slow:
        slow.sendall(POST + b"Content-Length: 1000000\r\n\r\n")
        answer = _dribble(slow, _endless(b"x"))
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in answer.lower()


def test_a_body_as_large_as_allowed_is_taken_announced_and_in_chunks(server: Server) -> None:
    whole = b"x" * MAX_BODY_BYTES
    with closing(server.client()) as client:
        assert _ask(client, whole) == (200, str(MAX_BODY_BYTES).encode())
        assert _ask(client, (whole[at : at + 60_000] for at in range(0, len(whole), 60_000)))[0] == 200


@pytest.mark.parametrize("headers", [b"Content-Length: 104857600\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_a_body_of_100_mb_is_refused_and_never_held(server: Server, headers: bytes) -> None:
    before = server.peak_bytes()
    piece = b"10000\r\n" + b"x" * 65_536 + b"\r\n" if b"chunked" in headers else b"x" * 65_536
    with server.connect() as client:
        client.sendall(POST + headers + b"\r\n")
        try:
            for _ in range(1_600):
                client.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it need not take all of it
        try:
            answer = client.recv(65_536)
        except ConnectionResetError:
            answer = b""
    assert answer.startswith(b"HTTP/1.1 413 ")
    # Room for one allowed body and its copies; the whole would be 100.
    assert server.peak_bytes() - before < 16 << 20


def test_who_asks_before_sending_too_much_is_told_no_at_once(server: Server) -> None:
    with server.connect() as client:
        client.sendall(POST + b"Content-Length: 104857600\r\nExpect: 100-continue\r\n\r\n")
        answer = client.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_who_never_reads_the_answer_is_let_go(server: Server) -> None:
    with server.connect() as client:
        client.sendall(b"GET /much HTTP/1.1\r\nHost: gateway\r\n\r\n")
        assert select.select([client], [], [], 30)[0]
        while server.holds(client):
            select.select([], [], [], 0.02)
        assert len(_answer(client)) < MUCH_BYTES


def test_further_connections_are_told_to_come_again(server: Server) -> None:
    with ExitStack() as all_of_them:
        clients = [all_of_them.enter_context(closing(server.client())) for _ in range(MAX_CONNECTIONS)]
        for client in clients:
            assert _ask(client, b"1")[0] == 200
        with server.connect() as one_more:
            answer = _answer(one_more)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in answer.lower()
        assert _ask(clients[0], b"12") == (200, b"2")
