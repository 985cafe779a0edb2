"""Rows of about the same confidence: what a calibration error is counted over."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

_BINS: Final = 15


def confidence_bins(confidence: npt.NDArray[np.float64]) -> list[npt.NDArray[np.int64]]:
    """Return the rows of 15 bins of as many rows each, least confident first; of fewer rows, a bin for each.

    >>> [rows.tolist() for rows in confidence_bins(np.array([0.9, 0.5, 0.7]))]
    [[1], [2], [0]]
    """
    order = np.argsort(confidence, kind="stable")
    return [rows for rows in np.array_split(order, _BINS) if len(rows)]
