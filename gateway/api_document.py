"""The OpenAPI document: what routes that read their bodies themselves have to declare, and the words around it."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, TypeAdapter

from gateway.access import OPEN_PATHS
from gateway.problems import OPEN_INFERENCE, PROBLEM_JSON, OpenInferenceError, Problem

_REFERENCE: Final = "#/components/schemas/{model}"
_VALIDATION_ERROR: Final = "HTTPValidationError"

DESCRIPTION: Final = """\
Sorts products into categories: the same decisions as the stream's, by the same code and the same model.

Errors are [problem details](https://www.rfc-editor.org/rfc/rfc9457) with a sentence that says what to do.
The pages below `/v2` are the [Open Inference Protocol](https://github.com/kserve/open-inference-protocol),
with its own errors.
"""

TAGS: Final = [
    {"name": "Predictions", "description": "Decisions on products as JSON."},
    {"name": "Open Inference Protocol", "description": "The same decisions as tensors, for clients of KServe."},
    {"name": "Publishing", "description": "Products onto the stream's topic, where it is allowed."},
    {"name": "Model", "description": "Which model decides."},
    {"name": "Health", "description": "For whoever runs the gateway."},
]


def body_of(*kinds: Any) -> dict[str, Any]:
    """Return what a route declares that reads a body of one of these types itself, for `openapi_extra`."""
    references = [{"$ref": _REFERENCE.format(model=kind.__name__)} for kind in kinds]
    content = {"application/json": {"schema": references[0] if len(kinds) == 1 else {"anyOf": references}}}
    return {"requestBody": {"required": True, "content": content}}


def problems_of(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the declaration of errors, for `responses`."""
    return _errors(Problem, PROBLEM_JSON, statuses)


def open_inference_errors_of(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the same in the form of the Open Inference Protocol."""
    return _errors(OpenInferenceError, "application/json", statuses)


def _errors(kind: type[BaseModel], media_type: str, statuses: Sequence[int]) -> dict[int | str, dict[str, Any]]:
    content = {media_type: {"schema": {"$ref": _REFERENCE.format(model=kind.__name__)}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def _add_guards(document: dict[str, Any]) -> None:
    """Declare what may stand before a page: keys, rates and limits of the body."""
    document["components"]["securitySchemes"] = {
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "bearer": {"type": "http", "scheme": "bearer"},
    }
    for path, methods in document["paths"].items():
        if path in OPEN_PATHS:
            continue
        errors = open_inference_errors_of if path.startswith(OPEN_INFERENCE) else problems_of
        for operation in methods.values():
            operation["security"] = [{}, {"key": []}, {"bearer": []}]  # {}: a gateway may ask for none
            for status, declared in errors(401, 429, *((408, 413) if "requestBody" in operation else ())).items():
                operation["responses"].setdefault(str(status), declared)


def _leave_out_validation_errors(document: dict[str, Any]) -> None:
    """Drop the error that FastAPI declares wherever a path has a part to fill in: any text will do."""
    for methods in document["paths"].values():
        for operation in methods.values():
            if _VALIDATION_ERROR in str(operation["responses"].get("422")):
                del operation["responses"]["422"]
    for name in (_VALIDATION_ERROR, "ValidationError"):
        document["components"]["schemas"].pop(name, None)


def describe(app: FastAPI, bodies: Sequence[Any]) -> None:
    """Let the app's document have the types that its routes declare with `body_of`."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                summary=app.summary,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
            )
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            for kind in (Problem, OpenInferenceError, *bodies):
                schema = TypeAdapter(kind).json_schema(ref_template=_REFERENCE)
                schemas.update(schema.pop("$defs", {}))
                schemas[kind.__name__] = schema
            _leave_out_validation_errors(document)
            _add_guards(document)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's manual has it
