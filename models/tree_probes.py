"""Rows that try out trees: on, just below and just above their thresholds, missing, zero and unknown."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from models.bit_vectors import BitVectors

_N_ROWS: Final = 64
_SEED: Final = 20261124
_ODD: Final = (np.nan, 0.0, -0.0, -0.5, -1.0, 1e-36, 3e38, -3e38)


def probe_rows(trees: BitVectors) -> npt.NDArray[np.float32]:
    """Return float32 (64, n_features): the same for the same trees.

    Every feature takes its thresholds (rounded, and the next numbers on both sides), its categories and the first
    that is unknown; one number in five is odd: missing, zero, nearly zero, negative or huge.
    """
    random = np.random.default_rng(_SEED)
    rows = random.normal(size=(_N_ROWS, trees.n_features)).astype(np.float32)
    bounds = dict(zip(trees.column_features.tolist(), trees.column_bounds.tolist(), strict=True))
    limits = dict(zip(trees.category_features.tolist(), trees.category_limits.tolist(), strict=True))
    with np.errstate(over="ignore"):  # a threshold may be larger than any float32
        for feature in sorted({*bounds, *limits}):
            start, end = bounds.get(feature, (0, 0))
            exact = trees.thresholds[start:end].astype(np.float32)
            categories = np.arange(limits[feature] + 2 if feature in limits else 0, dtype=np.float32)
            below, above = np.nextafter(exact, np.float32(-np.inf)), np.nextafter(exact, np.float32(np.inf))
            rows[:, feature] = random.choice(np.concatenate([exact, below, above, categories]), _N_ROWS)
    is_odd = random.random(rows.shape) < 0.2
    rows[is_odd] = random.choice(np.array(_ODD, np.float32), int(is_odd.sum()))
    return rows
