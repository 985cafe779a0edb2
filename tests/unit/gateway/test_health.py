"""How the gateway does, and which model it serves."""

from __future__ import annotations

from models.serving.metrics import MODEL_FAILURES, MODEL_SWAPS
from tests.unit.gateway.conftest import NOW_MS, Gateway, product
from tests.unit.streams.conftest import TitleClassifier


async def test_a_gateway_that_stops_is_alive_and_not_ready(gateway: Gateway) -> None:
    assert (await gateway.get("/ready")).json()["version"] == gateway.slot.model.version
    gateway.parts.standing.is_stopping = True
    assert (await gateway.get("/health")).json() == {"status": "ok"}
    for path in ("/ready", "/v2/health/ready", "/v2/models/tiny/ready"):
        answer = await gateway.get(path)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_the_manifest_of_the_model_is_told_and_since_when_it_is_served(gateway: Gateway) -> None:
    (model,) = (await gateway.get("/models")).json()["models"]
    manifest = gateway.slot.now.model.manifest
    assert model["version"] == manifest.version
    assert model["registered_version"] == 3
    assert model["metrics"] == {"accuracy": 1.0}
    assert model["lineage"] == {"source": "tests"}
    assert ["Audio", "Headphones"] in model["categories"]
    assert model["serving_since"] == "2026-01-01T00:00:00.123000Z"
    assert NOW_MS % 1_000 == 123


async def test_requests_products_and_swaps_are_counted(by_title: Gateway, titles: TitleClassifier) -> None:
    for title in ("lamp", "unsure lamp", "vague lamp", "poison", " "):
        await by_title.post("/predict", product(title=title))
    await by_title.post("/predict/batch", {"products": [product(), {}]})
    by_title.parts.metrics.add(MODEL_SWAPS)
    by_title.parts.metrics.add(MODEL_FAILURES, 2)
    text = (await by_title.get("/metrics")).text
    for line in (
        'sortline_http_products_total{outcome="accepted"} 2.0',
        'sortline_http_products_total{outcome="review"} 1.0',
        'sortline_http_products_total{outcome="backed_off"} 1.0',
        'sortline_http_products_total{outcome="refused"} 3.0',
        'sortline_http_request_seconds_count{method="POST",route="/predict",status="200"} 3.0',
        'sortline_http_request_seconds_count{method="POST",route="/predict",status="422"} 1.0',
        "sortline_http_micro_batch_products_count 5.0",
        "sortline_model_swaps_total 1.0",
        "sortline_model_failures_total 2.0",
        'sortline_model_info{name="by-title",registered_version="",version="v1"} 1.0',
    ):
        assert line in text.splitlines(), line


async def test_after_a_swap_the_new_model_decides_and_is_told(gateway: Gateway) -> None:
    model = gateway.slot.now.model
    before = (await gateway.post("/predict", product())).json()["model"]
    gateway.slot.swap(model, 4)
    after = (await gateway.post("/predict", product())).json()["model"]
    assert (before["registered_version"], after["registered_version"]) == (3, 4)
    assert (await gateway.get("/v2/models/tiny")).json()["versions"] == [model.version, "4"]
