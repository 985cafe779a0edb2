from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Iterator

import pytest

from benchmarks.harness.http_load import HOST, Load, apply_load, request

LOAD = Load(connections=3, seconds=0.2, warm_up_seconds=0.05)


class Answering(socketserver.StreamRequestHandler):
    """Answers each request of a connection with its own body, in two pieces."""

    status = b"200 OK"

    def handle(self) -> None:
        while self.rfile.readline():
            length = 0
            while (line := self.rfile.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            body = self.rfile.read(length)
            head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (self.status, length)
            self.wfile.write(head + body[:2])
            with contextlib.suppress(BrokenPipeError):  # who does not like the head leaves
                self.wfile.write(body[2:])


class Failing(Answering):
    status = b"500 Internal Server Error"


@contextlib.contextmanager
def listening(handler: type[Answering]) -> Iterator[int]:
    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server((HOST, 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_every_connection_sends_one_request_after_the_other_and_each_is_timed() -> None:
    with listening(Answering) as port:
        answered = apply_load(port, [request("/a", b"hello"), request("/b", b"hello again")], LOAD)

    assert 3 <= len(answered.milliseconds) <= answered.n_all
    assert (answered.milliseconds > 0).all()
    assert answered.milliseconds.max() <= 250


def test_an_answer_that_is_an_error_ends_the_measurement() -> None:
    with listening(Failing) as port, pytest.raises(SystemExit, match="500 Internal"):
        apply_load(port, [request("/a", b"hello")], LOAD)


def test_a_request_has_what_http_asks_for() -> None:
    head, _, body = request("/predict", b'{"title": "x"}').partition(b"\r\n\r\n")

    assert head.split(b"\r\n")[0] == b"POST /predict HTTP/1.1"
    assert b"Content-Length: 14" in head.split(b"\r\n")
    assert body == b'{"title": "x"}'
