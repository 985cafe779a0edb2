"""Features turn a product into numbers: columns in, matrix out.

`spec` declares which features a model was fitted with and gives them a fingerprint, `matrix` computes them, and
`prices` fits the only thing that is learnt from data here, the edges of the price ranges. Training, the stream and
HTTP call the same `features.matrix.vectorize`.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ALGORITHM_VERSION"]

#: Raised by one whenever the same spec and the same products would give other bytes than before. It is part of
#: every fingerprint, so bundles fitted with the older algorithm are then refused at load.
ALGORITHM_VERSION: Final = 1
