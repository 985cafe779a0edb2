"""Prices in major units, and the edges of the price ranges, which are fitted once and stored in the spec."""

from __future__ import annotations

import functools
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from features.arrow_columns import number_column, text_column
from features.utf8 import is_valid
from schemas.currencies import UNUSUAL_DIGITS, minor_unit_digits

_USUAL: Final = 10.0 ** minor_unit_digits(None)


def major_prices(products: pa.RecordBatch) -> npt.NDArray[np.float64]:
    """Return `price_minor / 10**digits of the currency`, float64; NaN where there is no price.

    Raises SetupError if the batch lacks `price_minor` or `currency`.
    """
    prices = number_column(products, "price_minor")
    currencies = text_column(products, "currency")
    codes, units = _unusual()
    _divide(
        currencies.text,
        currencies.offsets,
        currencies.validity,
        currencies.first_bit,
        codes,
        units,
        _USUAL,
        prices,
    )
    return prices


@functools.cache
def _unusual() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the currencies that differ from the usual, three letters as one number, and their units."""
    codes = [int.from_bytes(currency.encode(), "big") for currency in UNUSUAL_DIGITS]
    return np.array(codes, np.int64), np.array([10.0**digits for digits in UNUSUAL_DIGITS.values()])


@njit(cache=True, nogil=True)
def _divide(
    text: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    validity: npt.NDArray[np.uint8],
    first_bit: int,
    codes: npt.NDArray[np.int64],
    units: npt.NDArray[np.float64],
    usual: float,
    prices: npt.NDArray[np.float64],
) -> None:
    known = np.int64(-1)  # most rows have the currency of the row before
    unit = usual
    for row in range(len(prices)):
        start = offsets[row]
        code = np.int64(0)
        if offsets[row + 1] - start == 3 and is_valid(validity, first_bit + row):
            for at in range(start, start + 3):
                code = (code << 8) | np.int64(text[at])
        if code != known:
            known, unit = code, usual
            for i in range(len(codes)):
                if codes[i] == code:
                    unit = units[i]
        prices[row] /= unit


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
