"""Products in, decisions out: plain features, then the exported model, whatever is around them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.plain_features import PlainFeatures
from benchmarks.peers.plain_model import PlainModel
from benchmarks.peers.plain_product import Product


class PlainDecider:
    """Decides on products with the model that `plain_model.export` wrote to a folder.

    Attributes:
        constants: what every answer tells of the model.
    """

    def __init__(self, folder: Path) -> None:
        self._model = PlainModel(folder)
        self._features = PlainFeatures(self._model.spec)
        self.constants = self._model.constants

    def decide(self, products: Sequence[Product]) -> list[dict[str, Any]]:
        """Return what is told of each product, in the order given."""
        features = [self._features.of(product) for product in products]
        decisions = self._model.decide(
            [tokens for tokens, _ in features],
            [dense for _, dense in features],
            [self._features.brand_of(product) for product in products],
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
