"""The features of one product in plain Python: what a team writes that has `str`, `re`, `unicodedata` and mmh3.

The numbers are those of `features`, computed one event at a time; text that is ASCII, as most of it is, takes a
regular expression instead of the walk over characters.
"""

from __future__ import annotations

import math
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import mmh3

_ASCII_WORDS: Final = re.compile("[a-z0-9]+")
_FLAGS: Final = ("pro", "premium", "deluxe", "standard", "basic", "new", "sale")
_DIGITS: Final = {
    **dict.fromkeys(
        ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND"), 0
    ),
    **dict.fromkeys(("VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
#: Invisible characters that are no format characters (Cf), which are left out as well.
_IGNORABLE: Final = frozenset(
    map(chr, (0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x3164, 0xFFA0))
) | frozenset(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))


class Product(Protocol):
    """What the features are of."""

    title: str
    description: str | None
    brand: str | None
    seller_id: str | None
    subcategory: str | None
    price_minor: int | None
    currency: str | None
    rating: float | None
    reviews_count: int | None


class PlainFeatures:
    """Computes tokens and dense features of one product at a time.

    Args:
        spec: what `FeatureSpec.to_json` gives.
    """

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self._blocks = [
            (
                block["field"],
                block["kind"] == "char",
                block["shortest"],
                block["longest"],
                _seed(f"{block['field']}/{block['kind']}"),
            )
            for block in spec["blocks"]
        ]
        self._fields = list(
            dict.fromkeys(["title", "brand", "subcategory", "seller_id", *(b[0] for b in self._blocks)])
        )
        self._mask = (1 << spec["hash_bits"]) - 1
        self._edges: list[float] = spec["price_edges"]
        self._n_categorical: int = spec["categorical_buckets"]
        self._names: list[str] = spec["dense"]

    def of(self, product: Product) -> tuple[list[dict[int, int]], list[float]]:
        """Return how often each bucket occurs, by block, and the dense features; NaN is missing."""
        words = {field: _words(getattr(product, field)) for field in self._fields}
        return [self._tokens(words[block[0]], block) for block in self._blocks], self._dense(product, words)

    def brand_of(self, product: Product) -> int | None:
        """Return the hash of the whole brand; None without one."""
        words = _words(product.brand)
        return mmh3.hash(" ".join(words).encode(), 0, signed=False) if words else None

    def _tokens(self, words: Sequence[str], block: tuple[str, bool, int, int, int]) -> dict[int, int]:
        _, is_char, shortest, longest, seed = block
        counts: dict[int, int] = {}
        for ngram in (_char_ngrams if is_char else _word_ngrams)(words, shortest, longest):
            bucket = mmh3.hash(ngram, seed, False) & self._mask
            counts[bucket] = counts.get(bucket, 0) + 1
        return counts

    def _dense(self, product: Product, words: Mapping[str, Sequence[str]]) -> list[float]:
        price = math.nan
        price_range = -1
        if product.price_minor is not None:
            price = product.price_minor / 10.0 ** _DIGITS.get(product.currency or "", 2)
            price_range = bisect_right(self._edges, price)
        reviews = math.nan if product.reviews_count is None else float(product.reviews_count)
        title = words["title"]
        values = {
            "seller_id_bucket": self._bucket(words["seller_id"], "seller_id_bucket"),
            "brand_bucket": self._bucket(words["brand"], "brand_bucket"),
            "subcategory_bucket": self._bucket(words["subcategory"], "subcategory_bucket"),
            "brand_price_range_bucket": math.nan
            if price_range < 0
            else self._bucket(words["brand"], "brand_price_range_bucket", price_range),
            "price": price,
            "price_log": math.log1p(price),
            "price_range": math.nan if price_range < 0 else float(price_range),
            "rating": math.nan if product.rating is None else product.rating,
            "reviews_count": reviews,
            "reviews_count_log": math.log1p(reviews),
            "title_length": float(len(" ".join(title))),
            "title_words": float(len(title)),
        }
        for flag in _FLAGS:
            values[f"has_{flag}"] = float(flag in title)
        return [values[name] for name in self._names]

    def _bucket(self, words: Sequence[str], feature: str, seed: int = 0) -> float:
        if not words:
            return math.nan
        return float(mmh3.hash(" ".join(words), _seed(feature, seed), False) % self._n_categorical)


def _seed(name: str, seed: int = 0) -> int:
    return mmh3.hash(name, seed, False)


def _words(text: str | None) -> list[str]:
    """Cut a text into words: NFKC, lower case, runs of letters, numbers and marks."""
    if text is None:
        return []
    if text.isascii():
        return _ASCII_WORDS.findall(text.lower())
    words = [""]
    for character in unicodedata.normalize("NFKC", text):
        category = unicodedata.category(character)
        if category == "Cf" or character in _IGNORABLE:
            continue
        if category[0] in "LNM":
            folded = character.casefold()
            words[-1] += folded if len(folded) == 1 else character.lower()[0]
        elif words[-1]:
            words.append("")
    return [word for word in words if word]


def _word_ngrams(words: Sequence[str], shortest: int, longest: int) -> list[str]:
    return [
        " ".join(words[start : start + n])
        for n in range(shortest, longest + 1)
        for start in range(len(words) - n + 1)
    ]


def _char_ngrams(words: Sequence[str], shortest: int, longest: int) -> list[str]:
    ngrams = []
    for word in words:
        padded = f" {word} "
        for n in range(shortest, longest + 1):
            if len(padded) <= n:
                ngrams.append(padded)
                break
            ngrams += [padded[start : start + n] for start in range(len(padded) - n + 1)]
    return ngrams
