"""The two services as `compose.yaml` defines them, for engines that have no Compose plugin.

Only what that file uses is read: image, hostname, ports, environment and a CMD-SHELL health check; anything else
is an error rather than a difference between `docker compose up` and `sortline stack up`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from schemas.errors import SetupError

COMPOSE_FILE: Final = Path(__file__).parent / "compose.yaml"

_VARIABLE: Final = re.compile(r"\$(?:\{(?P<name>[A-Z_]+)(?::-(?P<default>[^}]*))?\}|(?P<dollar>\$))")
_KEYS: Final = frozenset({"image", "hostname", "ports", "environment", "healthcheck"})
_HEALTH_KEYS: Final = frozenset({"test", "interval", "timeout", "retries"})


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """A command for the container's shell, and how often it is run."""

    command: str
    interval: str
    timeout: str
    retries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceDefinition:
    """One service, all variables replaced. `ports` are as `docker run --publish` takes them."""

    name: str
    image: str
    hostname: str
    ports: tuple[str, ...]
    environment: Mapping[str, str]
    health: HealthCheck


def read_definitions(variables: Mapping[str, str], *, file: Path = COMPOSE_FILE) -> tuple[ServiceDefinition, ...]:
    """Return the services of the compose file in its order, with its `${NAME:-default}` replaced from `variables`.

    Raises SetupError if the file uses something that would be ignored.
    """
    services = yaml.safe_load(file.read_text(encoding="utf-8"))["services"]
    return tuple(_service(name, fields, variables) for name, fields in services.items())


def _service(name: str, fields: Mapping[str, Any], variables: Mapping[str, str]) -> ServiceDefinition:
    _require_known(name, fields, _KEYS)
    health = fields["healthcheck"]
    _require_known(f"{name}.healthcheck", health, _HEALTH_KEYS)
    kind, command = health["test"]
    if kind != "CMD-SHELL":
        raise SetupError(f"{COMPOSE_FILE.name}: the health check of {name} is {kind}, and only CMD-SHELL is read")
    return ServiceDefinition(
        name=name,
        image=_replaced(fields["image"], variables),
        hostname=_replaced(fields.get("hostname", name), variables),
        ports=tuple(_replaced(port, variables) for port in fields["ports"]),
        environment={key: _replaced(value, variables) for key, value in fields.get("environment", {}).items()},
        health=HealthCheck(
            command=_replaced(command, variables),
            interval=health["interval"],
            timeout=health["timeout"],
            retries=health["retries"],
        ),
    )


def _replaced(text: str, variables: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        if match["dollar"]:
            return "$"
        return variables.get(match["name"]) or match["default"] or ""

    return _VARIABLE.sub(value, text)


def _require_known(where: str, fields: Mapping[str, Any], known: frozenset[str]) -> None:
    unknown = sorted(set(fields) - known)
    if unknown:
        raise SetupError(f"{COMPOSE_FILE.name}: {where} has {', '.join(unknown)}, which `stack up` would ignore")
