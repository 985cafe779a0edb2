"""Every error that a caller sees: RFC 9457 problem details, one sentence each that says what to do.

The pages of the Open Inference Protocol have its own form, `{"error": sentence}`, with the same sentences.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

log = logging.getLogger(__name__)

PROBLEM_JSON: Final = "application/problem+json"
#: Below it errors have the form of the Open Inference Protocol.
OPEN_INFERENCE: Final = "/v2"
_TYPES: Final = "urn:problem-type:sortline:"


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    pointer: str = Field(description="JSON pointer (RFC 6901) into the product.", examples=["/title"])
    detail: str = Field(description="What is wrong there.", examples=["title is missing"])


class Problem(BaseModel):
    """An error as RFC 9457 has it."""

    type: str = Field(description="Names the kind of error; stable.", examples=[f"{_TYPES}invalid-product"])
    title: str = Field(description="The kind of error in words.", examples=["The product is not valid"])
    status: int = Field(description="The HTTP status.", examples=[422])
    detail: str = Field(description="What is wrong with this request, and what to do.")
    errors: list[FieldProblem] | None = Field(default=None, description="Field by field, where there are fields.")


class OpenInferenceError(BaseModel):
    """An error as the Open Inference Protocol has it."""

    error: str = Field(description="What is wrong with this request, and what to do.")


class ProblemError(Exception):
    """A request that is answered with a problem.

    Attributes:
        problem: the body.
        headers: to go with it.
    """

    def __init__(self, problem: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problem, headers)
        self.problem = problem
        self.headers = headers

    def __str__(self) -> str:
        return str(self.problem["detail"])


def problem(
    kind: str, title: str, status: int, detail: str, errors: list[dict[str, str]] | None = None
) -> dict[str, Any]:
    """Return a `Problem` as a dict; `kind` ends its type."""
    found = {"type": _TYPES + kind, "title": title, "status": status, "detail": detail}
    return found if errors is None else {**found, "errors": errors}


def invalid_product(detail: str, errors: list[dict[str, str]] | None = None) -> dict[str, Any]:
    """Return the problem of a product that the stream would not decide on either."""
    return problem("invalid-product", "The product is not valid", 422, detail, errors)


def internal_error() -> dict[str, Any]:
    """Return the problem of a fault of ours."""
    detail = "the gateway failed on this request: try again, and look into its log if it happens again"
    return problem("internal-error", "Internal error", 500, detail)


def stopping() -> ProblemError:
    """Return the error of a request that comes too late."""
    detail = "the gateway is stopping: send the request to another one, or again in a moment"
    return ProblemError(problem("stopping", "The gateway is stopping", 503, detail), {"Retry-After": "1"})


def problem_response(path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """Return the problem in the form that the path has."""
    status = int(body["status"])
    if path == OPEN_INFERENCE or path.startswith(OPEN_INFERENCE + "/"):
        return Response(to_json({"error": body["detail"]}), status, headers, "application/json")
    return Response(to_json(body), status, headers, PROBLEM_JSON)


def handle_problems(app: FastAPI) -> None:
    """Answer every error of the app with a problem."""

    @app.exception_handler(ProblemError)
    async def _problem(request: Request, error: ProblemError) -> Response:
        return problem_response(request.url.path, error.problem, error.headers)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        return problem_response(request.url.path, _of_status(request, error), error.headers)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        body = problem("invalid-request", "The request is not valid", 422, f"{where}: {first['msg']}")
        return problem_response(request.url.path, body)

    @app.exception_handler(Exception)
    async def _unforeseen(request: Request, error: Exception) -> Response:
        log.error("request failed", exc_info=error, extra={"path": request.url.path})
        return problem_response(request.url.path, internal_error())


def _of_status(request: Request, error: HTTPException) -> dict[str, Any]:
    status, path = error.status_code, request.url.path
    if status == HTTPStatus.NOT_FOUND:
        detail = f"there is nothing at {path}: /docs lists what there is"
    elif status == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = (error.headers or {}).get("Allow", "another method")
        detail = f"{path} does not answer {request.method}: send {allowed}"
    else:
        detail = str(error.detail)
    phrase = HTTPStatus(status).phrase
    return problem(phrase.lower().replace(" ", "-"), phrase, status, detail)
