from __future__ import annotations

import pyarrow as pa
import pytest

from features.prices import fit_price_edges, major_prices
from schemas.currencies import UNUSUAL_DIGITS, minor_unit_digits


def _prices(*minor: int | None, currency: str | None = "EUR") -> pa.RecordBatch:
    return pa.record_batch(
        [pa.array(minor, pa.int64()), pa.array([currency] * len(minor), pa.string())],
        names=["price_minor", "currency"],
    )


def test_every_currency_has_the_unit_that_its_digits_say() -> None:
    currencies = ["EUR", *UNUSUAL_DIGITS, "USD", None, "jpy", "JPYX", "", "KW", "JPÿ", "JPY", "JPY", None]
    batch = pa.record_batch(
        [pa.array([12_345] * len(currencies)), pa.array(currencies, pa.string())],
        names=["price_minor", "currency"],
    )
    expected = [12_345 / 10.0 ** minor_unit_digits(currency) for currency in currencies]
    assert major_prices(batch).tolist() == expected
    assert major_prices(batch.slice(3)).tolist() == expected[3:]


def test_edges_divide_the_prices_into_equal_parts() -> None:
    assert fit_price_edges(_prices(*range(1001)), n_ranges=5) == (2.0, 4.0, 6.0, 8.0)


def test_products_without_a_price_do_not_count() -> None:
    assert fit_price_edges(_prices(None, 100, None, 300), n_ranges=2) == (2.0,)


def test_equal_quantiles_are_one_edge() -> None:
    assert fit_price_edges(_prices(*[100] * 99, 200), n_ranges=5) == (1.0,)


def test_no_prices_give_no_edges() -> None:
    assert fit_price_edges(_prices(None, None)) == ()
    assert fit_price_edges(_prices()) == ()


def test_one_range_has_no_edges() -> None:
    assert fit_price_edges(_prices(100, 200), n_ranges=1) == ()


def test_a_table_of_many_chunks_gives_what_one_batch_gives() -> None:
    batch = _prices(*range(0, 997, 7))
    table = pa.Table.from_batches([batch.slice(0, 10), batch.slice(10, 0), batch.slice(10)])

    assert fit_price_edges(table) == fit_price_edges(batch)


def test_currencies_are_brought_to_their_major_units() -> None:
    mixed = pa.Table.from_batches([_prices(100, currency="JPY"), _prices(20_000, currency="USD")])

    assert fit_price_edges(mixed, n_ranges=2) == (150.0,)


def test_less_than_one_range_is_refused() -> None:
    with pytest.raises(ValueError, match="n_ranges is 0"):
        fit_price_edges(_prices(100), n_ranges=0)
