"""The job over HTTP as a competent team writes it first: FastAPI, pydantic, plain features, `Booster.predict`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.peers.plain_features import PlainFeatures
from benchmarks.peers.plain_model import PlainModel
from benchmarks.peers.plain_product import Product


class Products(BaseModel):
    """Several products."""

    products: list[Product]


def create_app(model: PlainModel) -> FastAPI:
    """Return the app; its functions are not async, so FastAPI calls them in its threads."""
    app = FastAPI()
    features = PlainFeatures(model.spec)

    def decide(products: Sequence[Product]) -> list[dict[str, Any]]:
        found = [features.of(product) for product in products]
        decisions = model.decide(
            [tokens for tokens, _ in found],
            [dense for _, dense in found],
            [features.brand_of(product) for product in products],
        )
        return [
            {
                "product_id": product.product_id,
                "category_path": decision.path,
                "confidence": decision.confidence,
                "decision": decision.decision,
                "alternatives": [
                    {"category_path": path, "confidence": probability}
                    for path, probability in decision.alternatives
                ],
            }
            for product, decision in zip(products, decisions, strict=True)
        ]

    @app.post("/predict")
    def predict(product: Product) -> dict[str, Any]:
        return {**decide([product])[0], "model": model.constants}

    @app.post("/predict/batch")
    def predict_batch(products: Products) -> dict[str, Any]:
        return {"results": decide(products.products), "model": model.constants}

    return app


if __name__ == "__main__":
    uvicorn.run(create_app(PlainModel(Path(sys.argv[2]))), port=int(sys.argv[1]), access_log=False)
