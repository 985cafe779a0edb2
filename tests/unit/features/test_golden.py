"""Pinned results: a change here is a change of every model's features.

If it is meant, raise `features.ALGORITHM_VERSION`, so that bundles fitted before are refused, and pin anew.
"""

from __future__ import annotations

import hashlib

from features.matrix import vectorize
from features.spec import classic_spec, text_spec
from tests.unit.features import made_products

EDGES = (9.99, 49.5, 100.0, 1000.0)


def test_the_fingerprint_of_the_text_spec_is_pinned() -> None:
    assert text_spec(EDGES).fingerprint == "9922c636562e902a55a9705f66261b698049d84ae0eb1c9fb584cf94fec08ef5"


def test_the_fingerprint_of_the_classic_spec_is_pinned() -> None:
    assert classic_spec(EDGES).fingerprint == "502918fcc3ad71d7c1d28841318ebdcfc6fe23a5b585bc868f9eab31715bc68c"


def test_the_features_of_full_bare_and_hostile_products_are_pinned() -> None:
    full = {
        "title": "NEW: Acme™ Pro-Drill, 18V (sale!)",
        "description": "The drill. Two batteries, the drill's own case.",
        "brand": "Acme",
        "seller_id": "seller-7",
        "subcategory": "Power tools",
        "price_minor": 9999,
        "currency": "EUR",
        "rating": 4.5,
        "reviews_count": 1234,
    }
    rows = [full, made_products.EMPTY, *made_products.hostile_rows()]

    parts = made_products.contents(vectorize(made_products.products(rows), text_spec(EDGES)))

    assert (
        hashlib.sha256(b"".join(parts)).hexdigest()
        == "9bdd2a2a05040785379acd13940be1f599ac99a6ce993c46f2c19c26c0506ace"
    )
