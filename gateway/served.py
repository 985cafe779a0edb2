"""`GET /models`: what is loaded, what it was made of and how it did."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from gateway.answers import ModelTold
from gateway.model_slot import ModelSlot


class LoadedModel(ModelTold):
    """A model that decides, as its manifest describes it."""

    model_config = ConfigDict(protected_namespaces=())

    serving_since: datetime = Field(description="When it took over here, UTC.")
    created_at: str = Field(description="When it was saved, RFC 3339.")
    profile: str = Field(description="text: words and trees; classic: 19 hand-made features and trees.")
    categories: list[list[str]] = Field(description="What it can decide for, root first.")
    target_precision: float | None = Field(description="Share of what is published that should be right.")
    metrics: dict[str, Any] = Field(description="Of its evaluation on products that it was not trained on.")
    lineage: dict[str, Any] = Field(description="Which products it was trained on.")
    libraries: dict[str, str] = Field(description="Versions that it was made with.")


class LoadedModels(BaseModel):
    """All models that are loaded; there is one at a time."""

    models: list[LoadedModel]


def models_router(slot: ModelSlot) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["Model"])

    @router.get("/models", summary="Which model decides")
    async def models() -> LoadedModels:
        """Answer the manifest of the model, its metrics and lineage, and since when it is served."""
        now = slot.now
        manifest = now.model.manifest
        loaded = LoadedModel(
            **now.told,
            serving_since=datetime.fromtimestamp(now.since_ms / 1000, UTC),
            created_at=manifest.created_at,
            profile=manifest.profile,
            categories=[list(path) for path in manifest.labels],
            target_precision=manifest.target_precision,
            metrics=dict(manifest.metrics),
            lineage=dict(manifest.lineage),
            libraries=dict(manifest.libraries),
        )
        return LoadedModels(models=[loaded])

    return router
