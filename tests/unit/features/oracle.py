"""The features once more, slow and plain, straight from their definition: the kernels must equal it byte for byte.

Nothing here comes from `features`: text is `str` and `unicodedata`, hashing is `mmh3`, and a product is a dict.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping, Sequence

import mmh3
import numpy as np

Product = Mapping[str, object]

#: Invisible characters that are neither format characters nor unassigned, by their Unicode names.
IGNORABLE = {
    unicodedata.lookup(name)
    for name in (
        "COMBINING GRAPHEME JOINER",
        "HANGUL CHOSEONG FILLER",
        "HANGUL JUNGSEONG FILLER",
        "HANGUL FILLER",
        "HALFWIDTH HANGUL FILLER",
        "KHMER VOWEL INHERENT AQ",
        "KHMER VOWEL INHERENT AA",
        *(f"MONGOLIAN FREE VARIATION SELECTOR {name}" for name in ("ONE", "TWO", "THREE", "FOUR")),
        *(f"VARIATION SELECTOR-{number}" for number in range(1, 257)),
    )
}
TEXT_FIELDS = ("title", "description", "brand", "subcategory", "seller_id")
FLAGS = ("pro", "premium", "deluxe", "standard", "basic", "new", "sale")
MINOR_UNIT_DIGITS = {"EUR": 2, "USD": 2, "JPY": 0, "KWD": 3}


def fold(character: str) -> str:
    """Return the character in lower case, one for one."""
    folded = character.casefold()
    if len(folded) > 1:
        folded = character.lower()[0]
    return folded


def words_of(text: str) -> list[str]:
    """Cut a text into the words of its normal form."""
    words = [""]
    for character in unicodedata.normalize("NFKC", text):
        category = unicodedata.category(character)
        if category == "Cf" or character in IGNORABLE:
            continue
        if category[0] in "LNM":
            words[-1] += fold(character)
        else:
            words.append("")
    return [word for word in words if word]


def word_ngrams(words: Sequence[str], shortest: int, longest: int) -> list[str]:
    """Return all runs of n words, the shortest first."""
    return [
        " ".join(words[start : start + n])
        for n in range(shortest, longest + 1)
        for start in range(len(words) - n + 1)
    ]


def char_ngrams(words: Sequence[str], shortest: int, longest: int) -> list[str]:
    """Return all runs of n characters inside each padded word; a short padded word once."""
    ngrams = []
    for word in words:
        padded = f" {word} "
        for n in range(shortest, longest + 1):
            if len(padded) <= n:
                ngrams.append(padded)
                break
            ngrams += [padded[start : start + n] for start in range(len(padded) - n + 1)]
    return ngrams


def tokens(product: Product, block: tuple[str, str, int, int], hash_bits: int) -> dict[int, int]:
    """Count the buckets of one block (field, kind, shortest, longest), in order of first occurrence."""
    field, kind, shortest, longest = block
    text = product[field]
    counts: dict[int, int] = {}
    if text is None:
        return counts
    assert isinstance(text, str)
    seed = mmh3.hash(f"{field}/{kind}", 0, signed=False)
    ngrams = word_ngrams if kind == "word" else char_ngrams
    for ngram in ngrams(words_of(text), shortest, longest):
        bucket = mmh3.hash(ngram.encode(), seed, signed=False) % 2**hash_bits
        counts[bucket] = counts.get(bucket, 0) + 1
    return counts


def dense(product: Product, price_edges: Sequence[float], n_buckets: int) -> list[float]:
    """Return the 19 dense features of one product, as Python floats; NaN is missing."""
    title = product["title"]
    title_words = words_of(str(title))
    price = _number(product["price_minor"])
    if not math.isnan(price):
        price = price / 10.0 ** MINOR_UNIT_DIGITS.get(str(product["currency"]), 2)
    price_range = sum(edge <= price for edge in price_edges)
    reviews = _number(product["reviews_count"])
    brand = _hashed(product["brand"])
    features = [
        _bucket(product["seller_id"], "seller_id_bucket", 0, n_buckets),
        _bucket(product["brand"], "brand_bucket", 0, n_buckets),
        _bucket(product["subcategory"], "subcategory_bucket", 0, n_buckets),
        math.nan
        if math.isnan(price) or not brand
        else _bucket(product["brand"], "brand_price_range_bucket", price_range, n_buckets),
        price,
        _log(price),
        math.nan if math.isnan(price) else price_range,
        _number(product["rating"]),
        reviews,
        _log(reviews),
    ]
    if title is None:
        return features + [math.nan] * 9
    return [
        *features,
        len(" ".join(title_words)),
        len(title_words),
        *(1.0 if flag in title_words else 0.0 for flag in FLAGS),
    ]


def dense_matrix(products: Sequence[Product], price_edges: Sequence[float], n_buckets: int = 1000) -> bytes:
    """Return the bytes of the dense matrix, float32 row by row."""
    rows = [dense(product, price_edges, n_buckets) for product in products]
    with np.errstate(over="ignore"):
        return np.array(rows, np.float64).astype(np.float32).tobytes()


def _hashed(text: object) -> str:
    return "" if text is None else " ".join(words_of(str(text)))


def _bucket(text: object, feature: str, seed: int, n_buckets: int) -> float:
    words = _hashed(text)
    if not words:
        return math.nan
    return float(mmh3.hash(words.encode(), mmh3.hash(feature, seed, signed=False), signed=False) % n_buckets)


def _number(value: object) -> float:
    assert value is None or isinstance(value, int | float)
    return math.nan if value is None or math.isnan(value) else float(value)


def _log(x: float) -> float:
    return math.log1p(x) if x >= 0 else math.nan
