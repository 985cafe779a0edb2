"""What the OpenAPI document says, and what the gateway does: asked by schemathesis, on the tiny model."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from prometheus_client import CollectorRegistry
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.specs.openapi.schemas import OpenApiSchema

from gateway.app import Parts, create_app
from gateway.deliveries import Place, Undelivered
from gateway.guards import guards
from gateway.metrics import Metrics
from gateway.model_slot import ModelSlot
from gateway.predictions import Deciders
from gateway.publishing import Publisher, publishing_router
from gateway.settings import GatewaySettings
from models.serving.described import DescribedModel
from tests.unit.gateway.conftest import Gateway, product
from tests.unit.gateway.test_publishing import MemoryWriter

#: Not that all invalid data are refused and all valid ones taken: a batch has an error for each product, and no
#: JSON schema says what is a blank title or how many bytes a text has.
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture
def api(tiny_model: DescribedModel) -> Iterator[OpenApiSchema]:
    slot = ModelSlot(tiny_model)
    metrics = Metrics(slot)
    deciders = Deciders(slot, metrics, max_batch=20)
    publisher = Publisher(MemoryWriter(), registry=metrics.registry, max_batch=20)
    app = create_app(
        Parts(
            slot=slot,
            metrics=metrics,
            deciders=deciders,
            routers=[publishing_router(publisher)],
            middlewares=guards(GatewaySettings(model="none")),
        )
    )
    yield schemathesis.openapi.from_asgi("/openapi.json", app)
    deciders.close()


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_page_answers_as_the_document_says(api: OpenApiSchema, mode: GenerationMode) -> None:
    # One operation after the other by hand: the plugin's own parametrization does not work with pytest 9.2.
    for operation in api.get_all_operations():
        assert isinstance(operation, Ok)

        @settings(
            max_examples=15,
            derandomize=True,
            deadline=None,
            database=None,
            phases=(Phase.explicit, Phase.generate),
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.ok().as_strategy(generation_mode=mode))
        def ask(case: Case[Any]) -> None:
            case.call_and_validate(checks=CHECKS)

        try:
            ask()
        except Unsatisfiable:  # of a page that takes nothing, nothing can be wrong
            assert mode is GenerationMode.NEGATIVE


class BreakingWriter(MemoryWriter):
    async def publish(self, products: pa.RecordBatch, traceparent: bytes | None) -> list[Place | Undelivered]:
        raise ZeroDivisionError("poison")


async def test_no_answer_shows_where_the_code_failed_and_the_log_does(
    by_title: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    tensors = [
        {"name": name, "shape": [1], "datatype": "BYTES", "data": ["poison"]} for name in ("product_id", "title")
    ]
    publisher = Publisher(BreakingWriter(), registry=CollectorRegistry(), max_batch=1)
    parts = replace(by_title.parts, routers=[publishing_router(publisher)])
    answers = [
        await by_title.post("/predict", product(title="poison")),  # a product whose decision fails
        await by_title.post("/v2/models/by-title/infer", {"inputs": tensors}),
        await Gateway(create_app(parts), parts).post("/products", product()),  # a page that fails
    ]
    for answer in answers:
        assert answer.status_code == 500
        assert "the gateway failed on this request" in answer.text
        assert not re.search(r"Traceback|File |\.py|ZeroDivision|poison", answer.text)
    traces = [record.exc_info for record in caplog.records if record.levelno == logging.ERROR]
    assert len(traces) == 3
    assert all(traces)
