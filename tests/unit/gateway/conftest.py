"""A gateway without sockets, on the tiny model or on one whose decisions can be read off the titles."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI

from gateway.app import Parts, create_app
from gateway.health import Standing
from gateway.metrics import Metrics
from gateway.model_slot import ModelSlot
from gateway.predictions import Deciders
from models.bundle import load_bundle, read_manifest
from models.classifier import Classifier
from models.manifest import Manifest
from models.serving.described import DescribedModel
from tests.tiny_model import build_tiny_bundle
from tests.unit.streams.conftest import TitleClassifier

NOW_MS = 1_767_225_600_123
MAX_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Gateway:
    """An app and its parts; `client` speaks to it."""

    app: FastAPI
    parts: Parts

    @property
    def slot(self) -> ModelSlot:
        return self.parts.slot

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            yield client

    async def post(self, path: str, body: object) -> httpx.Response:
        async with self.client() as client:
            return await client.post(path, json=body)

    async def send(self, path: str, content: bytes, **headers: str) -> httpx.Response:
        async with self.client() as client:
            return await client.post(
                path, content=content, headers=headers or {"content-type": "application/json"}
            )

    async def get(self, path: str) -> httpx.Response:
        async with self.client() as client:
            return await client.get(path)


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved bundle; read it, never write to it."""
    return build_tiny_bundle(tmp_path_factory.mktemp("gateway") / "tiny")


@pytest.fixture(scope="session")
def tiny_model(tiny_bundle: Path) -> DescribedModel:
    return DescribedModel(load_bundle(tiny_bundle), read_manifest(tiny_bundle))


@pytest.fixture(scope="session")
def manifest(tiny_bundle: Path) -> Manifest:
    return read_manifest(tiny_bundle)


@pytest.fixture
def gateway(tiny_model: DescribedModel) -> Iterator[Gateway]:
    yield from _gateway(ModelSlot(tiny_model, 3, now_ms=lambda: NOW_MS))


@pytest.fixture
def titles() -> TitleClassifier:
    """Decides by words of the title: `unsure` is for review, `vague` backs off, `poison` breaks the model."""
    return TitleClassifier()


@pytest.fixture
def by_title(titles: TitleClassifier, manifest: Manifest) -> Iterator[Gateway]:
    """A gateway on that model."""
    model = DescribedModel(cast("Classifier", titles), manifest)
    yield from _gateway(ModelSlot(model, now_ms=lambda: NOW_MS))


def _gateway(slot: ModelSlot) -> Iterator[Gateway]:
    metrics = Metrics(slot)
    deciders = Deciders(slot, metrics, max_batch=MAX_BATCH)
    parts = Parts(slot=slot, metrics=metrics, deciders=deciders, standing=Standing())
    try:
        yield Gateway(create_app(parts), parts)
    finally:
        deciders.close()


def product(product_id: str = "p-1", title: str = "lamp", **fields: Any) -> dict[str, Any]:
    return {"product_id": product_id, "title": title, **fields}
