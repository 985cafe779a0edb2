"""The job over HTTP as a competent team writes it first: FastAPI, pydantic, plain features, `Booster.predict`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.peers.plain_decider import PlainDecider
from benchmarks.peers.plain_product import Product


class Products(BaseModel):
    """Several products."""

    products: list[Product]


def create_app(decider: PlainDecider) -> FastAPI:
    """Return the app; its functions are not async, so FastAPI calls them in its threads."""
    app = FastAPI()

    @app.post("/predict")
    def predict(product: Product) -> dict[str, Any]:
        return {**decider.decide([product])[0], "model": decider.constants}

    @app.post("/predict/batch")
    def predict_batch(products: Products) -> dict[str, Any]:
        return {"results": decider.decide(products.products), "model": decider.constants}

    return app


if __name__ == "__main__":
    uvicorn.run(create_app(PlainDecider(Path(sys.argv[2]))), port=int(sys.argv[1]), access_log=False)
