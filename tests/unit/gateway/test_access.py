from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.access import AccessMiddleware, charge
from gateway.api_keys import ApiKeys
from gateway.key_files import create_key
from gateway.rate_limits import RateLimits

NOW = datetime(2026, 1, 2, tzinfo=UTC)


class FiveProducts:
    """An application each of whose requests counts five products."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        self.calls += 1
        charge(scope, 5)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _client(app: ASGIApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway")


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


async def test_either_header_lets_a_key_in(key_file: Path) -> None:
    key, _ = create_key(key_file, "shop", now=NOW)
    app = AccessMiddleware(FiveProducts(), keys=ApiKeys(key_file), limits=RateLimits(None))
    async with _client(app) as client:
        for headers in (
            {"X-API-Key": key},
            {"Authorization": f"Bearer {key}"},
            {"authorization": "bearer " + key},
        ):
            assert (await client.get("/predict", headers=headers)).status_code == 200


async def test_a_missing_and_a_wrong_key_are_challenged_and_not_shown(
    key_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key, _ = create_key(key_file, "shop", now=NOW)
    wrong = key[:-4] + "AAAA"
    inner = FiveProducts()
    app = AccessMiddleware(inner, keys=ApiKeys(key_file), limits=RateLimits(None))
    async with _client(app) as client:
        missing = await client.post("/predict", json={"a": 1})
        refused = await client.post("/predict", headers={"X-API-Key": wrong}, content=b"x")
        basic = await client.get("/predict", headers={"Authorization": "Basic eDp5"})
    assert [answer.status_code for answer in (missing, refused, basic)] == [401, 401, 401]
    assert missing.headers["www-authenticate"] == 'Bearer realm="sortline"'
    assert refused.headers["www-authenticate"] == 'Bearer realm="sortline", error="invalid_token"'
    assert refused.headers["content-type"] == "application/problem+json"
    assert wrong not in refused.text + caplog.text
    assert inner.calls == 0


async def test_probes_and_scrapers_need_no_key_and_are_not_counted(key_file: Path) -> None:
    create_key(key_file, "shop", now=NOW)
    app = AccessMiddleware(FiveProducts(), keys=ApiKeys(key_file), limits=RateLimits(1.0, clock=lambda: 0.0))
    async with _client(app) as client:
        for path in ("/health", "/ready", "/metrics") * 3:
            answer = await client.get(path)
            assert answer.status_code == 200
            assert "ratelimit" not in answer.headers


async def test_products_are_counted_and_the_answers_tell_what_is_left() -> None:
    inner = FiveProducts()
    app = AccessMiddleware(inner, keys=None, limits=RateLimits(8.0, clock=lambda: 0.0))
    async with _client(app) as client:
        first, second, third = [await client.post("/predict", content=b"x") for _ in range(3)]
    assert first.headers["ratelimit"] == '"products";r=3;t=1'
    assert second.status_code == 200
    assert third.status_code == 429
    assert third.headers["retry-after"] == "1"
    assert third.headers["ratelimit"].startswith('"products";r=0;')
    assert len(third.headers.get_list("retry-after")) == 1
    assert inner.calls == 2


async def test_a_key_s_own_rate_wins_over_the_server_s(key_file: Path) -> None:
    key, _ = create_key(key_file, "shop", now=NOW, rate=100.0)
    app = AccessMiddleware(FiveProducts(), keys=ApiKeys(key_file), limits=RateLimits(1.0, clock=lambda: 0.0))
    async with _client(app) as client:
        answer = await client.post("/predict", headers={"X-API-Key": key})
    assert answer.headers["ratelimit-policy"] == '"products";q=100;w=1'
