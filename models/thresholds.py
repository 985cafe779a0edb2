"""How sure a model has to be before a category is published without a person: one number for each node."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from models.weighting import frozen
from schemas.errors import SetupError

#: The threshold of a node that is never published: no confidence reaches it.
NEVER: Final = math.inf


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Thresholds:
    """Least confidence of each node that is published.

    Attributes:
        nodes: float64 (n_nodes), in the order of `Taxonomy.nodes`: 0 to 1, or NEVER. Not to be written to.
        pooled: what a category gets of which nothing is known but what holds for all; 0 to 1, or NEVER.

    Raises SetupError if one is no probability.
    """

    nodes: npt.NDArray[np.float64]
    pooled: float

    def __post_init__(self) -> None:
        if self.nodes.dtype != np.float64 or self.nodes.ndim != 1:
            raise SetupError("The thresholds must be one row of float64.")
        for value in (*self.nodes.tolist(), self.pooled):
            if not (0 <= value <= 1 or value == NEVER):
                raise SetupError(
                    f"A threshold is {value}; needed is a probability, 0 to 1, or infinity for never."
                )
        object.__setattr__(self, "nodes", frozen(self.nodes.copy()))

    @classmethod
    def equal(cls, threshold: float, n_nodes: int) -> Thresholds:
        """Return the same threshold for every node."""
        return cls(nodes=np.full(n_nodes, threshold), pooled=threshold)

    def summary(self) -> dict[str, float | int | None]:
        """Return `pooled`, the `lowest` and `highest` of those that can be reached, and how many are `never`.

        JSON has no infinity: None stands for a threshold that does not exist.
        """
        reachable = self.nodes[np.isfinite(self.nodes)]
        return {
            "pooled": self.pooled if math.isfinite(self.pooled) else None,
            "lowest": float(reachable.min()) if len(reachable) else None,
            "highest": float(reachable.max()) if len(reachable) else None,
            "never": len(self.nodes) - len(reachable),
        }

    def __str__(self) -> str:
        """Return all of that in a few words.

        >>> print(Thresholds(nodes=np.array([0.5, 0.97, NEVER]), pooled=0.8))
        0.80 pooled, 0.50 to 0.97 by category, 1 never published
        """
        summary = self.summary()
        parts = ["no pooled one" if summary["pooled"] is None else f"{self.pooled:.2f} pooled"]
        if summary["lowest"] is not None:
            parts.append(f"{summary['lowest']:.2f} to {summary['highest']:.2f} by category")
        if summary["never"]:
            parts.append(f"{summary['never']} never published")
        return ", ".join(parts)
