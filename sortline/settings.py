"""Settings of the program: read once from the environment, overridden by options, handed down as plain values."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.errors import SetupError
from schemas.topics import TopicNames

PREFIX: Final = "SORTLINE_"

_Port = Annotated[int, Field(ge=0, le=65535)]
#: Options that are called otherwise than their setting.
_OPTIONS: Final = {"registry_url": "registry", "http_host": "host", "http_port": "port"}
_USER_AND_PASSWORD: Final = re.compile(r"(?<=://)([^/@:\s]*):[^/@\s]*@")


class SortlineSettings(BaseSettings):
    """Everything that the commands take from the environment, with defaults that run on a laptop.

    Read it with `read_settings`, once a process. Durations are seconds.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    debug: bool = Field(default=False, description="Show the traceback of an unexpected error.")
    bootstrap: str = Field(
        default="127.0.0.1:9092", min_length=1, description="Kafka bootstrap servers, host:port[,host:port]."
    )
    registry_url: str = Field(
        default="http://127.0.0.1:8081/apis/ccompat/v7",
        pattern=r"^https?://",
        description="Schema registry that speaks Confluent's API.",
    )
    topic_prefix: str = Field(
        default="", max_length=100, pattern=r"^[A-Za-z0-9._-]*$", description="Put before the name of every topic."
    )
    group_id: str = Field(
        default="sortline", min_length=1, max_length=255, description="The workers' consumer group."
    )
    static_member: str | None = Field(
        default=None,
        min_length=1,
        description="A worker's group.instance.id: it keeps its partitions over a restart.",
    )
    model: str | None = Field(
        default=None, min_length=1, description="Model bundle: a folder, or models:/name@alias in MLflow."
    )
    tracking_uri: str = Field(
        default="sqlite:///mlflow.db", min_length=1, description="Where MLflow keeps runs and models."
    )
    model_poll_seconds: float = Field(
        default=30.0,
        ge=1,
        le=86_400,
        description="How often a worker looks what models:/name@alias means; an announcement makes it at once.",
    )
    web_host: str = Field(
        default="127.0.0.1", min_length=1, description="Where a worker serves /health and /ready."
    )
    web_port: _Port = Field(default=6066, description="Port of /health and /ready.")
    http_host: str = Field(default="127.0.0.1", min_length=1, description="Where `sortline serve` answers.")
    http_port: _Port = Field(default=8080, description="Port of the same; 0 takes a free one.")
    max_batch: int = Field(
        default=1_000, ge=1, le=100_000, description="Most products of one request to `sortline serve`."
    )
    max_body_bytes: int = Field(
        default=2 << 20, ge=1_024, le=1 << 30, description="Most bytes of one request's body to the same."
    )
    max_connections: int = Field(
        default=1_000, ge=1, le=100_000, description="Most connections that the same keeps open."
    )
    api_keys: Path | None = Field(
        default=None, description="File of the API keys that the same asks for; without one it asks for none."
    )
    rate_limit: float | None = Field(
        default=None, gt=0, description="Products a second that it takes from one key, or from one address."
    )
    commit_interval_seconds: float = Field(
        default=0.1, gt=0, le=60, description="How often a worker commits what was delivered."
    )
    delivery: Literal["at-least-once", "exactly-once"] = Field(
        default="exactly-once", description="What a crash of a worker costs: repeated outputs, or nothing."
    )
    session_timeout_seconds: float = Field(
        default=8.0, ge=1, le=300, description="After this silence the group gives a worker's partitions away."
    )
    shutdown_seconds: float = Field(
        default=20.0, gt=0, le=600, description="How long a worker or gateway may take to finish on SIGTERM."
    )
    dead_letter_dialect: Literal["connect", "streams", "spring"] = Field(
        default="connect", description="Whose headers tell what is wrong with a dead letter."
    )
    dead_letters_in_a_row: int = Field(
        default=1_000, ge=1, description="A worker stops beyond so many dead letters without a good record."
    )
    dead_letters_share: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="It also stops beyond this share of the last records; 1 never stops it.",
    )
    dead_letters_window: int = Field(
        default=10_000, ge=10, le=1_000_000, description="How many records the share is of; a tenth must be seen."
    )
    engine: Literal["auto", "docker", "jvm"] = Field(
        default="auto", description="What runs the local stack: containers, Java processes, or the first possible."
    )
    kafka_port: int = Field(default=9092, ge=1, le=65535, description="Port of the local stack's Kafka.")
    registry_port: int = Field(default=8081, ge=1, le=65535, description="Port of the local stack's registry.")
    kafka_image: str = Field(
        default="apache/kafka:4.3.1", min_length=1, description="The local stack's Kafka, with Docker."
    )
    registry_image: str = Field(
        default="apicurio/apicurio-registry:3.3.3", min_length=1, description="The same for the registry."
    )
    state_dir: Path | None = Field(
        default=None, description="The local stack's pids, logs and data; by default in the XDG state folder."
    )
    cache_dir: Path | None = Field(
        default=None, description="What the local stack downloads once; by default in the XDG cache folder."
    )

    @property
    def topics(self) -> TopicNames:
        """The names of the topics, with the prefix."""
        return TopicNames.with_prefix(self.topic_prefix)

    def lines(self) -> list[str]:
        """Return `name = value` for every setting, in the order declared, without passwords."""
        return [f"{name} = {masked(getattr(self, name))}" for name in type(self).model_fields]


def read_settings(**overrides: object) -> SortlineSettings:
    """Read the settings from the environment; an override that is not None wins over it.

    Raises SetupError that names the variable or option and what is wrong with it.
    """
    given: dict[str, Any] = {name: value for name, value in overrides.items() if value is not None}
    try:
        return SortlineSettings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        source = (
            f"option --{_OPTIONS.get(name, name).replace('_', '-')}"
            if name in given
            else f"variable {PREFIX}{name.upper()}"
        )
        raise SetupError(f"{source}: {first['msg']}, got {masked(first['input'])!r}") from error


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Return a sentence for each SORTLINE_ variable that no setting has, with a close name if there is one."""
    known = [name.upper() for name in SortlineSettings.model_fields]
    sentences: list[str] = []
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name.removeprefix(PREFIX) in known:
            continue
        close = difflib.get_close_matches(name.removeprefix(PREFIX), known, n=1)
        hint = f"; did you mean {PREFIX}{close[0]}?" if close else ""
        sentences.append(f"{name} is not a setting and was ignored{hint}")
    return sentences


def masked(value: object) -> str:
    """Return the value as text, with the password of an address inside it replaced by stars."""
    return _USER_AND_PASSWORD.sub(r"\1:***@", str(value))
