"""What a gateway needs to know, resolved once and handed down."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from schemas.topics import TopicNames


class GatewaySettings(BaseModel):
    """The settings of a gateway; the defaults run on a laptop. Durations are seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model: str = Field(min_length=1, description="Folder of a bundle, or models:/name@alias in MLflow.")
    tracking_uri: str | None = Field(default=None, description="MLflow's store, for a model from there.")
    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(default=8080, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    bootstrap: str | None = Field(default=None, description="Kafka to publish products to; None publishes none.")
    registry_url: str = Field(default="", description="Schema registry, if products are published.")
    created_topic: str = Field(default=TopicNames().created, description="Topic that they are published on.")
    api_keys: Path | None = Field(default=None, description="File of API keys; None asks for none.")
    rate_limit: float | None = Field(default=None, gt=0, description="Products a second of one caller.")
    max_body_bytes: int = Field(default=2 << 20, ge=1, description="Most bytes of one request's body.")
    max_connections: int = Field(default=1_000, ge=1, description="Most connections at a time.")
    header_seconds: float = Field(default=10.0, gt=0, description="How long a request's headers may take.")
    body_seconds: float = Field(default=10.0, gt=0, description="How long its body may, and 1 s more a 16 KiB.")
    write_seconds: float = Field(default=20.0, gt=0, description="How long a client may leave its answer unread.")
    keep_alive_seconds: int = Field(default=75, ge=1, description="How long an idle connection is kept.")
    max_batch: int = Field(default=1_000, ge=1, le=100_000, description="Most products of one request.")
    model_poll_seconds: float = Field(default=30.0, ge=1, description="How often to look what the alias means.")
    shutdown_seconds: float = Field(default=20.0, gt=0, description="How long SIGTERM waits for answers.")
