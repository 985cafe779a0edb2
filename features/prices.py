"""Prices in major units, and the edges of the price ranges, which are fitted once and stored in the spec."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.arrow_columns import dictionary_of, number_column
from schemas.currencies import minor_unit_digits


def major_prices(products: pa.RecordBatch) -> npt.NDArray[np.float64]:
    """Return `price_minor / 10**digits of the currency`, float64; NaN where there is no price.

    Raises SetupError if the batch lacks `price_minor` or `currency`.
    """
    prices = number_column(products, "price_minor")
    rows, currencies = dictionary_of(products, "currency")
    units = np.array([10.0 ** minor_unit_digits(currency) for currency in currencies])
    prices /= units[rows]
    return prices


def fit_price_edges(products: pa.RecordBatch | pa.Table, n_ranges: int = 5) -> tuple[float, ...]:
    """Return the edges that divide the prices into `n_ranges` ranges of about as many products, in major units.

    The edges ascend strictly; equal quantiles are one edge, so there can be fewer ranges. Without a single price
    there are none.

    Raises ValueError if n_ranges is not positive.

    >>> fit_price_edges(pa.table({"price_minor": [100, 200, 300, 400, None], "currency": ["EUR"] * 5}), n_ranges=2)
    (2.5,)
    """
    if n_ranges < 1:
        raise ValueError(f"n_ranges is {n_ranges}; at least 1 is needed.")
    batches = products.to_batches() if isinstance(products, pa.Table) else [products]
    prices = np.concatenate([np.empty(0), *(major_prices(batch) for batch in batches)])
    prices = prices[~np.isnan(prices)]
    if len(prices) == 0:
        return ()
    edges = np.quantile(prices, np.arange(1, n_ranges) / n_ranges)
    return tuple(float(edge) for edge in np.unique(edges))
