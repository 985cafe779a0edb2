"""Compiles the kernels of this package, or finds that they are in numba's cache already.

`python -m features.warm_up` is a process that does nothing else: numba compiles one kernel at a time in a process,
and a worker that starts with an empty cache lets a second one do its share (`streams.cold_start`).
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from features.matrix import vectorize
from features.murmur3 import hash_name, murmur3_32
from features.spec import text_spec
from schemas import columns

#: Every field once; letters that NFKC may change, and letters that are lower case in one byte more.
_PRODUCT: Final[dict[str, object]] = {
    "product_id": "warm-up",
    "title": "Wireless headphones ワイヤレス № Ⱥ pro",
    "description": "Over-ear, black",
    "brand": "Nordlys",
    "seller_id": "seller-1",
    "subcategory": "headphones",
    "price_minor": 12_900,
    "currency": "EUR",
    "rating": 4.5,
    "reviews_count": 12,
}


def are_cached() -> bool:
    """Return whether this machine's cache has the kernels, by a look at the first of them, which is then loaded.

    It is compiled if it is not there, 0.3 s.
    """
    hash_name("")
    return not murmur3_32.stats.cache_misses


def compile_kernels() -> None:
    """Compute the features of a made-up product, so that every kernel is compiled or loaded."""
    vectorize(pa.RecordBatch.from_pylist([_PRODUCT], columns.PRODUCT), text_spec(price_edges=(100.0,)))


def cache_folder() -> str:
    """Return where numba keeps the kernels of this package."""
    return str(murmur3_32.stats.cache_path)


if __name__ == "__main__":
    compile_kernels()
