"""docs/api.md is what the gateway's OpenAPI document says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from gateway.app import Parts, create_app
from gateway.publishing import Publisher, publishing_router
from tests.unit.gateway.api_page import api_page
from tests.unit.gateway.conftest import Gateway
from tests.unit.gateway.test_publishing import MemoryWriter


@pytest.fixture
def document(gateway: Gateway) -> dict[str, Any]:
    """That of a gateway with every page there is."""
    parts = gateway.parts
    publisher = Publisher(MemoryWriter(), registry=parts.metrics.registry, max_batch=1)
    routers = [publishing_router(publisher)]
    whole = Parts(slot=parts.slot, metrics=parts.metrics, deciders=parts.deciders, routers=routers)
    return create_app(whole).openapi()


def test_the_page_is_what_the_document_says(document: dict[str, Any], repository: Path) -> None:
    page = repository / "docs" / "api.md"
    if os.environ.get("SORTLINE_TEST_WRITE_PAGES"):
        page.write_text(api_page(document), encoding="utf-8")
    assert page.read_text(encoding="utf-8") == api_page(document), "run `make api`, and look at what it changes"


def test_every_path_of_the_document_is_in_the_page(document: dict[str, Any]) -> None:
    page = api_page(document)
    for path, methods in document["paths"].items():
        for method in methods:
            assert f"`{method.upper()} {path}`" in page
