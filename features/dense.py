"""The hand-made features: numbers, hashed categories and words of the title.

Their order is that of `features.spec.DENSE_FEATURES`; NaN means missing. Text is compared in normal form.

- `seller_id_bucket`, `brand_bucket`, `subcategory_bucket`: murmur3 of the text, with murmur3 of the feature's name
  as seed, modulo `categorical_buckets`; missing if the text is null or has no words.
- `brand_price_range_bucket`: the same of the brand, but the murmur3 of the feature's name is itself seeded with
  the price range; missing without a brand or a price.
- `price`: major units. `price_range`: how many price edges are at or below it. Missing without a price.
- `rating`, `reviews_count`: as given; missing if null or NaN.
- `price_log`, `reviews_count_log`: log(1 + x), taken in float64; missing as x is, and for negative x.
- `title_length`, `title_words`: code points (with the spaces between words) and words.
- `has_pro` and its like: 1 if the word is one of the title's, else 0.
- All of the title are missing if it is null.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from features.arrow_columns import number_column
from features.murmur3 import hash_name, murmur3_32
from features.normal_form import NormalForms
from features.prices import major_prices
from features.spec import DENSE_FEATURES, FeatureSpec

_HAS: Final = "has_"
_BUCKETS: Final = ("seller_id_bucket", "brand_bucket", "subcategory_bucket")
_CROSS: Final = "brand_price_range_bucket"

#: The text field that a dense feature reads; those not named here read none.
_TEXT_FIELD: Final = {
    "seller_id_bucket": "seller_id",
    "brand_bucket": "brand",
    "subcategory_bucket": "subcategory",
    _CROSS: "brand",
}
_PRICE_FEATURES: Final = frozenset({_CROSS, "price", "price_log", "price_range"})
_REVIEWS_FEATURES: Final = frozenset({"reviews_count", "reviews_count_log"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Constants:
    """What the kernel needs and the spec alone decides."""

    edges: npt.NDArray[np.float64]
    seeds: npt.NDArray[np.uint32]
    flag_words: npt.NDArray[np.uint64]
    columns: list[int] | None  # None: all of them, in their usual order


def dense_fields(spec: FeatureSpec) -> tuple[str, ...]:
    """Return the text fields that the spec's dense features read; the title always, which every product has."""
    return tuple(dict.fromkeys(("title", *(_TEXT_FIELD[name] for name in spec.dense if name in _TEXT_FIELD))))


def dense_features(
    products: pa.RecordBatch, forms: NormalForms, fields: tuple[str, ...], spec: FeatureSpec
) -> npt.NDArray[np.float32]:
    """Return the dense features that the spec names: float32, C order, (n_rows, spec.dense_width).

    `forms` holds the normal forms of `fields`, among them `dense_fields(spec)`.

    Raises SetupError if the products lack a column that these features read.
    """
    constants = _constants(spec)
    n_rows = products.num_rows
    missing = np.full(n_rows, np.nan)
    dense = np.empty((n_rows, len(DENSE_FEATURES)), np.float32)
    # What the spec does not name is computed of whatever is at hand, and dropped below.
    positions = [
        fields.index(field) if field in fields else 0 for field in ("title", *map(_TEXT_FIELD.get, _BUCKETS))
    ]
    _fill(
        forms.text,
        forms.bounds,
        forms.words,
        forms.word_bounds,
        forms.lengths,
        np.array(positions, np.int64),
        missing if _PRICE_FEATURES.isdisjoint(spec.dense) else major_prices(products),
        number_column(products, "rating") if "rating" in spec.dense else missing,
        missing if _REVIEWS_FEATURES.isdisjoint(spec.dense) else number_column(products, "reviews_count"),
        constants.edges,
        constants.seeds,
        np.uint32(spec.categorical_buckets),
        constants.flag_words,
        dense,
    )
    return dense if constants.columns is None else np.ascontiguousarray(dense[:, constants.columns])


@functools.lru_cache(maxsize=16)
def _constants(spec: FeatureSpec) -> _Constants:
    seeds = [hash_name(name) for name in _BUCKETS]
    seeds += [hash_name(_CROSS, seed=price_range) for price_range in range(len(spec.price_edges) + 1)]
    flags = [_packed(name.removeprefix(_HAS)) for name in DENSE_FEATURES if name.startswith(_HAS)]
    return _Constants(
        edges=np.array(spec.price_edges, np.float64),
        seeds=np.array(seeds, np.uint32),
        flag_words=np.array(flags, np.uint64),
        columns=None if spec.dense == DENSE_FEATURES else [DENSE_FEATURES.index(name) for name in spec.dense],
    )


def _packed(word: str) -> int:
    """Return a word of at most eight bytes as one number: the kernel compares words in one step."""
    return int.from_bytes(word.encode("ascii"), "little")


@njit(cache=True, nogil=True)
def _bucket(
    text: npt.NDArray[np.uint8],
    bounds: npt.NDArray[np.int64],
    value: int,
    seed: np.uint32,
    n_buckets: np.uint32,
) -> float:
    """Hash one normal form without its outer spaces; NaN if it is empty."""
    start = bounds[value]
    end = bounds[value + 1]
    if start == end:
        return np.nan
    return np.float64(murmur3_32(text, start + 1, end - 1, seed) % n_buckets)


@njit(cache=True, nogil=True)
def _log1p(x: float) -> float:
    return math.log1p(x) if x >= 0 else np.nan


@njit(cache=True, nogil=True)
def _fill(
    text: npt.NDArray[np.uint8],
    bounds: npt.NDArray[np.int64],
    words: npt.NDArray[np.int64],
    word_bounds: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    fields: npt.NDArray[np.int64],
    prices: npt.NDArray[np.float64],
    ratings: npt.NDArray[np.float64],
    reviews: npt.NDArray[np.float64],
    edges: npt.NDArray[np.float64],
    seeds: npt.NDArray[np.uint32],
    n_buckets: np.uint32,
    flag_words: npt.NDArray[np.uint64],
    dense: npt.NDArray[np.float32],
) -> None:
    """Fill every row of `dense`; its columns are DENSE_FEATURES."""
    n_rows = len(dense)
    for row in range(n_rows):
        title = fields[0] * n_rows + row
        seller = fields[1] * n_rows + row
        brand = fields[2] * n_rows + row
        subcategory = fields[3] * n_rows + row
        price = prices[row]
        dense[row, 0] = _bucket(text, bounds, seller, seeds[0], n_buckets)
        dense[row, 1] = _bucket(text, bounds, brand, seeds[1], n_buckets)
        dense[row, 2] = _bucket(text, bounds, subcategory, seeds[2], n_buckets)
        if math.isnan(price):
            dense[row, 3:7] = np.nan
        else:
            price_range = 0
            while price_range < len(edges) and edges[price_range] <= price:
                price_range += 1
            dense[row, 3] = _bucket(text, bounds, brand, seeds[3 + price_range], n_buckets)
            dense[row, 4] = price
            dense[row, 5] = _log1p(price)
            dense[row, 6] = price_range
        dense[row, 7] = np.nan if math.isnan(ratings[row]) else ratings[row]
        dense[row, 8] = np.nan if math.isnan(reviews[row]) else reviews[row]
        dense[row, 9] = _log1p(reviews[row])
        if lengths[title] < 0:
            dense[row, 10:] = np.nan
            continue
        first_word = word_bounds[title]
        last_word = word_bounds[title + 1] - 1
        dense[row, 10] = lengths[title]
        dense[row, 11] = last_word - first_word
        dense[row, 12:] = 0
        for word in range(first_word, last_word):
            start = words[word]
            end = words[word + 1] - 1
            if end - start > 8:
                continue
            packed = np.uint64(0)
            for at in range(end - 1, start - 1, -1):
                packed = (packed << np.uint64(8)) | np.uint64(text[at])
            for flag in range(len(flag_words)):
                if flag_words[flag] == packed:
                    dense[row, 12 + flag] = 1
