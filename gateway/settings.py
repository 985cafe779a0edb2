"""What a gateway needs to know, resolved once and handed down."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class GatewaySettings(BaseModel):
    """The settings of a gateway; the defaults run on a laptop. Durations are seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model: str = Field(min_length=1, description="Folder of a bundle, or models:/name@alias in MLflow.")
    tracking_uri: str | None = Field(default=None, description="MLflow's store, for a model from there.")
    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(default=8080, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    max_batch: int = Field(default=1_000, ge=1, le=100_000, description="Most products of one request.")
    model_poll_seconds: float = Field(default=30.0, ge=1, description="How often to look what the alias means.")
    shutdown_seconds: float = Field(default=20.0, gt=0, description="How long SIGTERM waits for answers.")
