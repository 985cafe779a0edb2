"""What is announced is heard, on a real Kafka."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from schemas import columns
from schemas.avro_files import load_schema
from schemas.decoding import Decoder
from schemas.errors import DependencyUnavailableError, SetupError
from schemas.registry import InMemoryRegistry
from streams.announcements import Announcement, Announcements, announce
from tests.integration.streams.conftest import PATIENCE_SECONDS, Topics

pytestmark = pytest.mark.integration

PROMOTION = Announcement(name="sortline", version=3, alias="champion", announced_by="ada")

Listen = Callable[[str], Announcements]


@pytest.fixture
def listen(stream: Topics) -> Iterator[Listen]:
    opened: list[Announcements] = []

    def open_one(name: str) -> Announcements:
        opened.append(Announcements(stream.bootstrap, stream.names.announced, name))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def announce_to(stream: Topics, announcement: Announcement) -> None:
    announce(announcement, bootstrap=stream.bootstrap, registry=stream.registry, topic=stream.names.announced)


def test_an_announcement_is_heard_once_by_those_who_follow_the_model_and_by_nobody_else(
    stream: Topics, listen: Listen
) -> None:
    early, other, never = listen("sortline"), listen("another"), threading.Event()
    announce_to(stream, PROMOTION)
    late = listen("sortline")
    assert early.heard(PATIENCE_SECONDS, never)
    assert late.heard(PATIENCE_SECONDS, never)
    assert not early.heard(0.1, never)
    announce_to(stream, Announcement(name="another", version=1, alias=None, announced_by="ada"))
    assert other.heard(PATIENCE_SECONDS, never)
    assert not early.heard(0.1, never)


def test_an_announcement_tells_people_what_was_done(stream: Topics) -> None:
    announce_to(stream, PROMOTION)
    (message,) = stream.read(stream.names.announced, until=bool)
    assert message.key() == b"sortline"
    decoder = Decoder(stream.registry, load_schema("model_announced"), columns.MODEL_ANNOUNCED)
    (row,) = decoder.decode([message.value() or b""]).batch.to_pylist()
    assert (row["name"], row["version"], row["alias"], row["announced_by"]) == ("sortline", 3, "champion", "ada")


def test_a_worker_that_stops_does_not_wait_for_announcements(listen: Listen) -> None:
    stopped = threading.Event()
    stopped.set()
    assert not listen("sortline").heard(3_600, stopped)


def test_without_a_broker_nothing_is_heard_and_announcing_says_so() -> None:
    announcements = Announcements("127.0.0.1:9", "models.announced", "sortline")
    stopped = threading.Event()
    stopped.set()
    assert not announcements.heard(3_600, stopped)
    announcements.close()
    with pytest.raises(DependencyUnavailableError, match=r"127\.0\.0\.1:9 does not answer"):
        announce(
            PROMOTION,
            bootstrap="127.0.0.1:9",
            registry=InMemoryRegistry(),
            topic="models.announced",
            timeout_seconds=1.0,
        )


def test_a_topic_that_is_not_there_is_named_with_what_to_do(stream: Topics) -> None:
    with pytest.raises(SetupError, match="sortline topics apply"):
        announce(PROMOTION, bootstrap=stream.bootstrap, registry=stream.registry, topic="nowhere" * 50)
