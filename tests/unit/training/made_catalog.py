"""A made-up labelled catalogue that a model can learn in a second."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from schemas.columns import LABELLED_PRODUCT

CATEGORIES: Final = {
    ("Audio", "headphones"): ("headphones", "earbuds", "headset"),
    ("Audio", "speakers"): ("speaker", "soundbar", "subwoofer"),
    ("Computer", "laptop"): ("laptop", "notebook", "ultrabook"),
    ("Computer", "monitor"): ("monitor", "display", "screen"),
    ("Garden", "mower"): ("mower", "trimmer", "shears"),
}
_ADJECTIVES: Final = ("black", "small", "wireless", "pro", "silent", "green", "2024", "classic")
_BRANDS: Final = ("Acme", "Norde", "Kuro", "Świt", None)


def made_products(n_rows: int, *, seed: int = 0) -> pa.Table:
    """Return labelled products, categories in turn; one product in ten has a noun of another category."""
    random = np.random.default_rng(seed)
    paths = list(CATEGORIES)
    rows: list[dict[str, object]] = []
    for i in range(n_rows):
        path = paths[i % len(paths)]
        seen_as = paths[random.integers(len(paths))] if random.random() < 0.1 else path
        noun = CATEGORIES[seen_as][random.integers(3)]
        adjectives = random.choice(_ADJECTIVES, 2, replace=False)
        price = int(1000 * (1 + paths.index(path)) * random.uniform(0.8, 1.2)) if random.random() < 0.8 else None
        rows.append(
            {
                "product_id": f"p{i:05d}",
                "title": f"{noun} {adjectives[0]} {adjectives[1]} {random.integers(1000)}",
                "description": f"A {noun}." if i % 3 else None,
                "brand": _BRANDS[random.integers(len(_BRANDS))],
                "seller_id": f"s{random.integers(20)}",
                "price_minor": price,
                "currency": None if price is None else "EUR",
                "rating": float(random.integers(1, 6)) if i % 2 else None,
                "reviews_count": int(random.integers(100)) if i % 2 else None,
                "category_path": list(path),
            }
        )
    return pa.Table.from_pylist(rows, LABELLED_PRODUCT)
