"""Routes that are called directly answer as FastAPI's own way to them does."""

from __future__ import annotations

import pytest
from starlette.types import Receive, Scope, Send

from gateway.hot_routes import HotRoutes
from tests.unit.gateway.conftest import Gateway, product


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/predict", product()),
        ("/predict", product(title="")),
        ("/predict", {"title": 3}),
        ("/predict/batch", {"products": [product(), product(title=" ")]}),
        ("/predict/batch", {"products": []}),
    ],
)
async def test_a_hot_route_answers_what_the_route_of_the_app_answers(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, path: str, body: object
) -> None:
    hot = await gateway.post(path, body)
    called: list[str] = []

    async def by_the_app(self: HotRoutes, scope: Scope, receive: Receive, send: Send) -> None:
        called.append(scope["path"])
        await self._app(scope, receive, send)

    monkeypatch.setattr(HotRoutes, "__call__", by_the_app)
    routed = await gateway.post(path, body)

    assert called == [path]
    assert (hot.status_code, hot.headers, hot.content) == (routed.status_code, routed.headers, routed.content)


async def test_other_methods_and_paths_are_the_app_s(gateway: Gateway) -> None:
    refused = await gateway.get("/predict")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert (await gateway.get("/predict/nothing")).status_code == 404


async def test_requests_of_hot_routes_are_counted_by_their_route(gateway: Gateway) -> None:
    await gateway.post("/predict", product())
    page = (await gateway.get("/metrics")).text
    assert 'sortline_http_request_seconds_count{method="POST",route="/predict",status="200"} 1.0' in page
