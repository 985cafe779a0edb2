"""Waiting for the broker and the registry to answer as their clients need it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import httpx
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from compose.services import Endpoints
from schemas.errors import DependencyUnavailableError

#: What Confluent's registry does with a subject that nobody configured; Apicurio would check nothing.
GLOBAL_COMPATIBILITY: Final = "BACKWARD"
_POLL_SECONDS: Final = 0.1

#: Returns None while the service may still become ready, or a sentence why it never will.
Obstacle = Callable[[], str | None]


def wait_until_ready(
    endpoints: Endpoints,
    *,
    timeout_seconds: float,
    obstacle: Obstacle = lambda: None,
    health_url: str | None = None,
) -> None:
    """Return once Kafka lists its topics and the registry lists its subjects; blocks up to the timeout.

    `health_url` is the registry's own health check, for a storage that answers `[]` before it has been read. Also
    sets the registry's global compatibility. Raises DependencyUnavailableError that names what did not answer.
    """
    deadline = time.monotonic() + timeout_seconds
    wait_for_kafka(endpoints.bootstrap, deadline=deadline, obstacle=obstacle)
    with httpx.Client(timeout=2.0, trust_env=False) as client:
        while True:
            try:
                if health_url is not None:
                    client.get(health_url).raise_for_status()
                client.get(f"{endpoints.registry_url}/subjects").raise_for_status()
                level = {"compatibility": GLOBAL_COMPATIBILITY}
                client.put(f"{endpoints.registry_url}/config", json=level).raise_for_status()
            except httpx.HTTPError as error:
                _go_on_or_raise(f"the schema registry at {endpoints.registry_url}", deadline, obstacle, error)
            else:
                return


def wait_for_kafka(bootstrap: str, *, deadline: float, obstacle: Obstacle = lambda: None) -> None:
    """Return once the broker lists its topics; `deadline` is on `time.monotonic`'s clock."""
    # Until the broker is up librdkafka would report every refused connection on stderr.
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0, "error_cb": lambda _: None})
    while True:
        try:
            if admin.list_topics(timeout=1.0).brokers:
                return
            _go_on_or_raise(f"Kafka at {bootstrap}", deadline, obstacle, None)
        except KafkaException as error:
            _go_on_or_raise(f"Kafka at {bootstrap}", deadline, obstacle, error)


def _go_on_or_raise(what: str, deadline: float, obstacle: Obstacle, error: Exception | None) -> None:
    reason = obstacle()
    if reason is not None:
        raise DependencyUnavailableError(reason) from error
    if time.monotonic() > deadline:
        raise DependencyUnavailableError(
            f"{what} did not become ready in time: {error or 'no broker yet'}"
        ) from error
    time.sleep(_POLL_SECONDS)
