"""How a model is more careful about products of a brand that it has never seen.

Three things were wrong about them (docs/unseen.md). The trees know a brand by one of a thousand buckets, where a
new brand is taken for an old one. The scores mean something else. And a threshold chosen on products of known
brands lets through a third that is wrong. So for these products the trees are left out where there is a text
model, and temperature and threshold are others, fitted on brands held out of training (training.unseen_brands).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from schemas.errors import SetupError


@dataclass(frozen=True, slots=True, kw_only=True)
class Caution:
    """What holds for a product of an unseen brand in place of the calibration's temperature and of the threshold.

    Attributes:
        temperature: above 0.
        threshold: least confidence that is published, 0 to 1; never below the threshold of other products.

    Raises SetupError for other numbers.
    """

    temperature: float
    threshold: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise SetupError(f"The temperature of unseen brands is {self.temperature}; needed is one above 0.")
        if not 0 <= self.threshold <= 1:
            raise SetupError(f"The threshold of unseen brands is {self.threshold}; needed is a probability.")

    def tempered(
        self, scores: npt.NDArray[np.float64], is_new: npt.NDArray[np.bool_], temperature: float
    ) -> npt.NDArray[np.float64]:
        """Return the scores, new rows so that divided by `temperature` they come out divided by ours.

        Changes `scores`.
        """
        scores[is_new] *= temperature / self.temperature
        return scores

    def floors(self, is_new: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """Return the least confidence at which each row may be published: ours, or 0 for what is not new."""
        return np.where(is_new, self.threshold, 0.0)
