from __future__ import annotations

import math

import mmh3
import numpy as np
import pytest

from features.matrix import vectorize
from features.spec import DENSE_FEATURES, classic_spec
from tests.unit.features.made_products import EMPTY, products

SPEC = classic_spec((10.0, 20.0))


def _features(**fields: object) -> dict[str, float]:
    row = vectorize(products([EMPTY | fields]), SPEC).dense[0]
    return dict(zip(SPEC.dense, row.tolist(), strict=True))


def test_a_full_product_has_these_features() -> None:
    found = _features(
        title="  NEW: Acme™ Pro-Drill, 18V (sale!) ",
        brand="ACME",
        seller_id="Seller-7",
        subcategory="Power  tools",
        price_minor=1999,
        currency="EUR",
        rating=4.5,
        reviews_count=99,
    )

    assert found == {
        "seller_id_bucket": _hashed("seller 7", "seller_id_bucket"),
        "brand_bucket": _hashed("acme", "brand_bucket"),
        "subcategory_bucket": _hashed("power tools", "subcategory_bucket"),
        "brand_price_range_bucket": _hashed("acme", "brand_price_range_bucket", seed=1),
        "price": pytest.approx(19.99),
        "price_log": pytest.approx(math.log(20.99)),
        "price_range": 1,
        "rating": 4.5,
        "reviews_count": 99,
        "reviews_count_log": pytest.approx(math.log(100)),
        "title_length": len("new acmetm pro drill 18v sale"),
        "title_words": 6,
        "has_pro": 1,
        "has_premium": 0,
        "has_deluxe": 0,
        "has_standard": 0,
        "has_basic": 0,
        "has_new": 1,
        "has_sale": 1,
    }


def test_what_a_product_does_not_have_is_nan_and_its_title_still_counts() -> None:
    found = _features(title="x")

    of_the_title = {name for name in DENSE_FEATURES if name.startswith(("title_", "has_"))}
    assert {name for name, value in found.items() if not math.isnan(value)} == of_the_title


def test_missing_is_one_nan_bit_for_bit() -> None:
    odd_nan = np.uint64(0xFFF8000000000123).view(np.float64)

    found = vectorize(products([EMPTY | {"rating": float(odd_nan)}]), SPEC).dense

    assert set(found.view(np.uint32)[np.isnan(found)].tolist()) == {0x7FC00000}


@pytest.mark.parametrize(
    ("price_minor", "currency", "price", "price_range"),
    [
        (999, "EUR", 9.99, 0),
        (1000, "EUR", 10, 1),  # an edge belongs to the range above it
        (1999, None, 19.99, 1),
        (2000, "USD", 20, 2),
        (2000, "JPY", 2000, 2),
        (15_000, "KWD", 15, 1),
        (0, "EUR", 0, 0),
    ],
)
def test_a_price_is_in_major_units(price_minor: int, currency: str | None, price: float, price_range: int) -> None:
    found = _features(price_minor=price_minor, currency=currency)

    assert found["price"] == np.float32(price)
    assert found["price_range"] == price_range


def test_the_cross_tells_price_ranges_of_a_brand_apart() -> None:
    crosses = {
        _features(brand="acme", price_minor=price, currency="EUR")["brand_price_range_bucket"]
        for price in (100, 1500, 9900)
    }

    assert len(crosses) == 3


def test_a_brand_without_words_is_missing() -> None:
    assert math.isnan(_features(brand=" -- ")["brand_bucket"])
    assert math.isnan(_features(brand="", price_minor=100, currency="EUR")["brand_price_range_bucket"])


def test_flags_ask_for_whole_words() -> None:
    assert _features(title="professional renewed wholesale basics standardised")["has_pro"] == 0
    assert (
        sum(
            value
            for name, value in _features(title="PRO ｐｒｅｍｉｕｍ deluxe\u200b standard/basic new sale").items()
            if name.startswith("has_")
        )
        == 7
    )


def _hashed(text: str, feature: str, *, seed: int = 0) -> int:
    return int(mmh3.hash(text, mmh3.hash(feature, seed, signed=False), signed=False) % 1000)
