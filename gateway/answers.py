"""What goes out: decisions as JSON has them."""

from __future__ import annotations

import itertools
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from gateway.problems import Problem

_Path = Annotated[list[str], Field(description="Levels, root first.", examples=[["Core", "memory"]])]
_Share = Annotated[float, Field(ge=0, le=1, description="Calibrated probability.", examples=[0.9731])]


class Alternative(BaseModel):
    """A category that it might be."""

    category_path: _Path
    confidence: _Share


class ModelTold(BaseModel):
    """Which model decided."""

    name: str = Field(description="What published events call it.", examples=["sortline"])
    version: str = Field(description="Digest of the bundle's content.", examples=["3f9a1c27be04"])
    feature_fingerprint: str = Field(description="Of the features it was fitted on.")
    taxonomy_version: str = Field(description="Digest of its categories.")
    registered_version: int | None = Field(description="Its number in MLflow; null for a folder.", examples=[3])


class Decision(BaseModel):
    """What the stream would publish of the product."""

    product_id: str = Field(description="As sent.", examples=["B0C1234"])
    category_path: _Path
    confidence: _Share
    decision: Literal["accepted", "backed_off", "review"] = Field(
        description="accepted: a category passed its threshold; backed_off: only an ancestor did; review: none."
    )
    alternatives: list[Alternative] = Field(description="The most probable categories, at most three.")
    unseen_brand: bool | None = Field(description="The model had not seen the brand; null if it cannot tell.")
    unseen_seller: bool | None = Field(description="The same for the seller.")
    unfamiliar_text: float | None = Field(description="Share of the text that the model had not seen.")


class Prediction(Decision):
    """A decision, and which model it is of."""

    model_config = ConfigDict(protected_namespaces=())

    model: ModelTold


class NotDecided(BaseModel):
    """A product of a batch that was not decided on."""

    error: Problem


class BatchPrediction(BaseModel):
    """Decisions in the order of the products, all by the same model."""

    model_config = ConfigDict(protected_namespaces=())

    results: list[Decision | NotDecided]
    model: ModelTold


def decisions_as_rows(decisions: pa.RecordBatch) -> list[dict[str, Any]]:
    """Return a batch of `columns.DECISION` as a `Decision` each, in order; several times faster than to_pylist."""
    columns: dict[str, Any] = dict(zip(decisions.schema.names, decisions.columns, strict=True))
    alternatives = columns["alternatives"]
    likely = alternatives.flatten()
    each = [
        {"category_path": path, "confidence": confidence}
        for path, confidence in zip(_paths(likely.field(0)), _values(likely.field(1)), strict=True)
    ]
    told = zip(
        _values(columns["product_id"]),
        _paths(columns["category_path"]),
        _values(columns["confidence"]),
        _words(columns["decision"]),
        [each[first:stop] for first, stop in _spans(alternatives)],
        _values(columns["unseen_brand"]),
        _values(columns["unseen_seller"]),
        _values(columns["unfamiliar_text"]),
        strict=True,
    )
    return [
        {
            "product_id": product_id,
            "category_path": path,
            "confidence": confidence,
            "decision": decision,
            "alternatives": listed,
            "unseen_brand": unseen_brand,
            "unseen_seller": unseen_seller,
            "unfamiliar_text": unfamiliar,
        }
        for product_id, path, confidence, decision, listed, unseen_brand, unseen_seller, unfamiliar in told
    ]


def _paths(column: Any) -> list[list[str]]:
    levels = _words(column.flatten())
    return [levels[first:stop] for first, stop in _spans(column)]


def _spans(column: Any) -> list[tuple[int, int]]:
    """Return where the items of each list are in the flattened column."""
    bounds = column.offsets.to_numpy()
    places = (bounds - bounds[0]).tolist()
    return list(itertools.pairwise(places))


def _words(column: pa.Array[Any]) -> list[str]:
    """Return texts of which there are few different ones."""
    coded = column.dictionary_encode()
    words = coded.dictionary.to_pylist()
    return [words[code] for code in coded.indices.to_numpy().tolist()]


def _values(column: pa.Array[Any]) -> list[Any]:
    """Return the values; by way of numpy, which is faster where no value is null."""
    if column.null_count:
        return list(column.to_pylist())
    values: list[Any] = column.to_numpy(zero_copy_only=False).tolist()
    return values
