"""Trees scored by LightGBM itself: what bit vectors are checked against, and what scores trees they cannot hold.

This is the one module that touches LightGBM's untyped API, and LightGBM is imported only when it is needed: it
brings scikit-learn and pandas with it, which takes seconds. Trees are scored in chunks, each a booster of its own:
`predict(start_iteration=...)` would do the same with one booster, but LightGBM keeps the range in the booster, so
two threads that predict different ranges get wrong scores (seen within a second with four threads).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from schemas.errors import SetupError

if TYPE_CHECKING:
    import lightgbm


@dataclass(frozen=True, slots=True, eq=False)
class LightGBMScorer:
    """Boosters that together are the trees. Immutable, and safe to use from several threads at once."""

    chunks: tuple[lightgbm.Booster, ...]
    n_classes: int

    @classmethod
    def from_text(cls, text: str, *, iterations_per_sum: int) -> LightGBMScorer:
        """Read a text that `models.tree_text.read_header` found whole; SetupError if LightGBM cannot."""
        import lightgbm

        try:
            booster = lightgbm.Booster(model_str=text)
        except (lightgbm.basic.LightGBMError, ValueError, KeyError, IndexError) as error:
            raise SetupError(f"LightGBM cannot read the trees: {error}.") from error
        n_classes = booster.num_model_per_iteration()
        n_iterations = booster.num_trees() // n_classes
        if n_iterations <= iterations_per_sum:
            return cls((booster,) if n_iterations else (), n_classes)
        starts = range(0, n_iterations, iterations_per_sum)
        texts = (booster.model_to_string(start_iteration=i, num_iteration=iterations_per_sum) for i in starts)
        return cls(tuple(lightgbm.Booster(model_str=chunk) for chunk in texts), n_classes)

    def raw_scores(self, dense: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
        """Return the sum of the chunks' predictions, float64 (n, n_classes), by one thread."""
        scores = np.zeros((len(dense), self.n_classes), np.float64)
        if len(dense):
            for chunk in self.chunks:
                scores += np.reshape(chunk.predict(dense, raw_score=True, num_threads=1), scores.shape)
        return scores
