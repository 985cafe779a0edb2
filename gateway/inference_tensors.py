"""Tensors of the Open Inference Protocol: a column of products each, and a column of decisions each.

A tensor has the shape [n] for n products. Texts are BYTES, numbers INT64 or FP64. Null, which the protocol does
not know, is an absent value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, NotRequired, cast

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from gateway.products import Product
from schemas.columns import PRODUCT
from schemas.product_values import LEVELS_APART

_Name = Annotated[str, Field(description="Of the column.", examples=["title"])]
_Shape = Annotated[list[int], Field(description="[n] for n products; [n, 1] is taken, too.", examples=[[2]])]
_Datatype = Annotated[str, Field(description="BYTES, INT64, FP64 or BOOL.", examples=["BYTES"])]

_EXAMPLE: Final[dict[str, Any]] = {
    "id": "42",
    "inputs": [
        {"name": "product_id", "shape": [2], "datatype": "BYTES", "data": ["p-1", "p-2"]},
        {"name": "title", "shape": [2], "datatype": "BYTES", "data": ["Corsair Vengeance 32GB DDR5", "Kettle"]},
        {"name": "price_minor", "shape": [2], "datatype": "INT64", "data": [11999, None]},
    ],
    "outputs": [{"name": "category"}, {"name": "confidence"}],
}


class InputTensor(TypedDict):
    """A column of products."""

    name: _Name
    shape: _Shape
    datatype: _Datatype
    parameters: NotRequired[Annotated[dict[str, Any], Field(description="Ignored.")]]
    data: Annotated[list[Any], Field(description="The values, one a product; null where there is none.")]


class RequestedOutput(TypedDict):
    """A column of decisions that is wanted."""

    name: Annotated[str, Field(description="Of the column.", examples=["category"])]
    parameters: NotRequired[Annotated[dict[str, Any], Field(description="Ignored.")]]


@with_config(ConfigDict(json_schema_extra={"examples": [_EXAMPLE]}))
class InferenceRequest(TypedDict):
    """Products as tensors; other members are ignored, as the protocol's extensions may have them."""

    id: NotRequired[Annotated[str, Field(description="Comes back with the answer.")]]
    parameters: NotRequired[Annotated[dict[str, Any], Field(description="Ignored.")]]
    inputs: list[InputTensor]
    outputs: NotRequired[Annotated[list[RequestedOutput], Field(description="Which columns; without it, all.")]]


class TensorDescription(BaseModel):
    """What a tensor looks like."""

    name: _Name
    datatype: _Datatype
    shape: Annotated[list[int], Field(description="-1 is any number of products.", examples=[[-1]])]


class OutputTensor(BaseModel):
    """A column of decisions."""

    name: _Name
    shape: _Shape
    datatype: _Datatype
    data: list[Any]


class InferenceResponse(BaseModel):
    """Decisions as tensors."""

    model_config = ConfigDict(protected_namespaces=())

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


class TensorError(ValueError):
    """Tensors that are no products; the sentence says why."""


_REQUEST: Final = TypeAdapter(InferenceRequest)
_DATATYPES: Final = {pa.string(): "BYTES", pa.int64(): "INT64", pa.float64(): "FP64"}
_STRICT: Final = ConfigDict(strict=True)
_VALUES: Final[dict[str, TypeAdapter[Any]]] = {
    "BYTES": TypeAdapter(list[str | None], config=_STRICT),
    "INT64": TypeAdapter(list[Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] | None], config=_STRICT),
    "FP64": TypeAdapter(list[float | None], config=_STRICT),
}
_EXPECTED: Final = {"BYTES": "a string", "INT64": "a whole number of 64 bits", "FP64": "a number"}
_REQUIRED: Final = frozenset(field.name for field in PRODUCT if not field.nullable)

#: Columns of products, with the datatype of each; a time is milliseconds since 1970 UTC.
INPUTS: Final = {field.name: _DATATYPES.get(field.type, "INT64") for field in PRODUCT}

_Of = Callable[[dict[str, Any]], object]
_OUTPUTS: Final[dict[str, tuple[str, _Of]]] = {
    "product_id": ("BYTES", lambda row: row["product_id"]),
    "category": ("BYTES", lambda row: LEVELS_APART.join(row["category_path"])),
    "confidence": ("FP64", lambda row: row["confidence"]),
    "decision": ("BYTES", lambda row: row["decision"]),
    "unseen_brand": ("BOOL", lambda row: row["unseen_brand"]),
    "unseen_seller": ("BOOL", lambda row: row["unseen_seller"]),
    "unfamiliar_text": ("FP64", lambda row: row["unfamiliar_text"]),
}


def described_inputs() -> list[TensorDescription]:
    """Return what products look like as tensors."""
    return [TensorDescription(name=name, datatype=kind, shape=[-1]) for name, kind in INPUTS.items()]


def described_outputs() -> list[TensorDescription]:
    """Return what decisions look like as tensors."""
    return [TensorDescription(name=name, datatype=kind, shape=[-1]) for name, (kind, _) in _OUTPUTS.items()]


def read_inference(body: bytes) -> tuple[InferenceRequest, list[Product]]:
    """Return the request in a body, and its products. Raises TensorError with what is wrong with it."""
    try:
        request = _REQUEST.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise TensorError(f"{where}: {first['msg']}; send inputs with name, shape, datatype and data") from error
    for output in request.get("outputs", []):
        if output["name"] not in _OUTPUTS:
            raise TensorError(f"there is no output {output['name']!r}: choose from {', '.join(_OUTPUTS)}")
    return request, _products(request["inputs"])


def output_tensors(request: InferenceRequest, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return decisions as the tensors that are wanted, in that order."""
    wanted = [output["name"] for output in request.get("outputs", [])] or list(_OUTPUTS)
    tensors: list[dict[str, Any]] = []
    for name in wanted:
        datatype, of = _OUTPUTS[name]
        tensors.append({"name": name, "shape": [len(rows)], "datatype": datatype, "data": [*map(of, rows)]})
    return tensors


def _products(inputs: Sequence[InputTensor]) -> list[Product]:
    columns: dict[str, list[Any]] = {}
    for tensor in inputs:
        name = tensor["name"]
        if name not in INPUTS:
            raise TensorError(f"there is no input {name!r}: choose from {', '.join(INPUTS)}")
        if name in columns:
            raise TensorError(f"input {name} is there twice: send each once")
        columns[name] = _column(tensor, INPUTS[name])
    if missing := sorted(_REQUIRED - columns.keys()):
        raise TensorError(f"input {' and '.join(missing)} is missing: every product has a product_id and a title")
    n_rows = len(columns["product_id"])
    for name, column in columns.items():
        if len(column) != n_rows:
            raise TensorError(f"input {name} has {len(column)} values and product_id has {n_rows}: send as many")
    return [cast(Product, dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]


def _column(tensor: InputTensor, datatype: str) -> list[Any]:
    name, shape, values = tensor["name"], tensor["shape"], tensor["data"]
    if tensor["datatype"] != datatype:
        raise TensorError(f"input {name} is declared as {tensor['datatype']}: send it as {datatype}")
    if len(shape) == 2 and shape[1] == 1 and all(isinstance(one, list) and len(one) == 1 for one in values):
        values = [one[0] for one in values]
    if shape not in ([len(values)], [len(values), 1]):
        raise TensorError(f"input {name} has {len(values)} values and the shape {shape}: the shape is [n]")
    try:
        found: list[Any] = _VALUES[datatype].validate_python(values)
    except ValidationError as error:
        at = error.errors(include_url=False)[0]["loc"][0]
        raise TensorError(f"input {name}: value {at} is not {_EXPECTED[datatype]}") from error
    if name in _REQUIRED and None in found:
        raise TensorError(f"input {name}: value {found.index(None)} is null and every product has a {name}")
    return found
