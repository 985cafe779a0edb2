"""`/v2`: the REST form of the Open Inference Protocol, for clients of KServe, Triton, MLServer and the like."""

from __future__ import annotations

from importlib.metadata import version as library_version
from typing import Any, Final

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from gateway.access import charge
from gateway.api_document import body_of, open_inference_errors_of
from gateway.bodies import json_body
from gateway.checking import Refused
from gateway.health import Standing
from gateway.inference_tensors import (
    InferenceRequest,
    InferenceResponse,
    TensorDescription,
    TensorError,
    described_inputs,
    described_outputs,
    output_tensors,
    read_inference,
)
from gateway.model_slot import ModelSlot
from gateway.predictions import Deciders
from gateway.problems import ProblemError, problem, stopping

_OF_VERSION: Final = "/models/{name}/versions/{version}"


class ServerMetadata(BaseModel):
    """The server."""

    name: str
    version: str
    extensions: list[str]


class ServerLive(BaseModel):
    """The server answers."""

    live: bool = True


class ServerReady(BaseModel):
    """The server decides."""

    ready: bool = True
    live: bool = True


class ModelReady(BaseModel):
    """The model decides."""

    name: str
    ready: bool = True


class ModelMetadata(BaseModel):
    """A model, and the tensors that go in and come out."""

    model_config = ConfigDict(protected_namespaces=())

    name: str
    versions: list[str] = Field(description="Content version and, if it is registered, the number in MLflow.")
    platform: str = Field(description="What computes.", examples=["sortline_lightgbm"])
    inputs: list[TensorDescription]
    outputs: list[TensorDescription]


def open_inference_router(slot: ModelSlot, deciders: Deciders, standing: Standing) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])

    def versions() -> list[str]:
        stamp = slot.model
        numbers = [] if stamp.registered_version is None else [str(stamp.registered_version)]
        return [stamp.version, *numbers]

    def require(name: str, version: str | None) -> None:
        """Raise unless this model in this version is what decides."""
        stamp = slot.model
        if name != stamp.name:
            raise _not_found(f"there is no model {name!r} here: the model is {stamp.name!r}")
        if version is not None and version not in versions():
            raise _not_found(f"version {version!r} of {name} is not served: {' or '.join(versions())} is")

    def require_going() -> None:
        if standing.is_stopping:
            raise stopping()

    @router.get("", summary="Server metadata")
    async def server() -> ServerMetadata:
        """Answer what the server is."""
        return ServerMetadata(name="sortline", version=library_version("sortline"), extensions=[])

    @router.get("/health/live", summary="Server live")
    async def live() -> ServerLive:
        """Answer as long as the process turns."""
        return ServerLive()

    @router.get("/health/ready", summary="Server ready", responses=open_inference_errors_of(503))
    async def ready() -> ServerReady:
        """Answer 200 as long as requests will be answered."""
        require_going()
        return ServerReady()

    @router.get(_OF_VERSION, summary="Metadata of a version", responses=open_inference_errors_of(404))
    @router.get("/models/{name}", summary="Model metadata", responses=open_inference_errors_of(404))
    async def metadata(name: str, version: str | None = None) -> ModelMetadata:
        """Answer the tensors that go in and come out."""
        require(name, version)
        return ModelMetadata(
            name=name,
            versions=versions(),
            platform="sortline_lightgbm",
            inputs=described_inputs(),
            outputs=described_outputs(),
        )

    @router.get(f"{_OF_VERSION}/ready", summary="Version ready", responses=open_inference_errors_of(404, 503))
    @router.get("/models/{name}/ready", summary="Model ready", responses=open_inference_errors_of(404, 503))
    async def model_ready(name: str, version: str | None = None) -> ModelReady:
        """Answer 200 if this model decides now."""
        require(name, version)
        require_going()
        return ModelReady(name=name)

    async def answer(request: Request, name: str, version: str | None) -> Response:
        require(name, version)
        try:
            wanted, products = read_inference(await json_body(request))
        except TensorError as error:
            raise _refused(str(error)) from error
        if len(products) > deciders.max_batch:
            limit = f"at most {deciders.max_batch} are answered"
            raise _refused(f"there are {len(products)} products and {limit}: send several requests", 413)
        charge(request.scope, len(products))
        decided = await deciders.several(products)
        rows: list[dict[str, Any]] = []
        for at, outcome in enumerate(decided.outcomes):
            if isinstance(outcome, Refused):
                raise _refused(f"product {at}: {outcome.problem['detail']}", _of_protocol(outcome))
            rows.append(outcome)
        identity = {"id": wanted["id"]} if "id" in wanted else {}
        told = {"model_name": decided.by.stamp.name, "model_version": decided.by.stamp.version, **identity}
        return Response(to_json({**told, "outputs": output_tensors(wanted, rows)}), media_type="application/json")

    inference: dict[str, Any] = {
        "response_model": InferenceResponse,
        "responses": open_inference_errors_of(400, 404, 413, 415, 503),
        "openapi_extra": body_of(InferenceRequest),
    }

    @router.post("/models/{name}/infer", summary="Inference", **inference)
    async def infer(request: Request, name: str) -> Response:
        """Decide on products. One that is not valid fails them all: the protocol has no errors of single rows."""
        return await answer(request, name, None)

    @router.post(f"{_OF_VERSION}/infer", summary="Inference by a version", **inference)
    async def infer_version(request: Request, name: str, version: str) -> Response:
        """Do the same, if this version decides now; otherwise the answer is 404."""
        return await answer(request, name, version)

    return router


def _of_protocol(refused: Refused) -> int:
    """Return the status: what the caller has to mend is 400 in the protocol."""
    status = int(refused.problem["status"])
    return 400 if status < 500 else status


def _not_found(detail: str) -> ProblemError:
    return ProblemError(problem("not-found", "Not found", 404, detail))


def _refused(detail: str, status: int = 400) -> ProblemError:
    return ProblemError(problem("invalid-request", "The request is not valid", status, detail))
