"""Products for the feature tests: plain dicts, hypothesis strategies of them, and their Arrow batches."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from features.characters import UNASSIGNED, character_tables
from features.matrix import FeatureMatrix
from features.spec import FeatureSpec
from schemas import columns
from tests.unit.features import oracle

EMPTY: Final[dict[str, Any]] = dict.fromkeys(columns.PRODUCT.names) | {"product_id": "p", "title": ""}

#: Texts that have broken tokenizers before.
HOSTILE_TEXTS: Final = (
    "",
    " ",
    "\x00",
    "nul\x00inside \x00",
    "family 👨‍👩‍👧‍👦 and flag 🏳️‍🌈, keycap 5️⃣, skin 👍🏽, shaking 🫨",
    "❤️ ❤ ☃︎",
    "\u202eevoli\u202c \u2067שלום עולם\u2069 \u200fمرحبا بالعالم ١٢٣",
    "\u0301",
    " \u0301 a\u0301 \u0301\u0302",
    "a\u200d\u0301",
    "e\u0323\u0301 e\u0301\u0323",
    "กุ้งแม่น้ำ น้ําดื่ม",
    "हिन्दी में नया फ़ोन क्ष क्\u200dष",
    "ভাষা তামিল தமிழ் മലയാളം",
    "İstanbul ISPARTA ışık I\u0307",
    "Straße STRASSE ẞ",
    "ΟΔΥΣΣΕΥΣ Οδυσσεύς ΐ ᾳ ᾼ ΆΈ",
    "Ｆｕｌｌ　Ｗｉｄｔｈ １２３ ｶﾞﾊﾞ",
    "ﬁne ﬂuﬃ ĳ ǆ ŉ ſ",
    "𝐁𝐨𝐥𝐝 𝒮𝒸𝓇𝒾𝓅𝓉 𐐀𐐨 𞤀𞤢 𠜎 🄰",
    "한국어 \u1112\u1161\u11ab \u3164 \u1112\u115f",
    "½ ² ³√x 5µm Ω Å №7 ™ ㎏ ㍿",
    "soft\u00adhyphen zero\u200bwidth no\u2060break \ufeffbom",
    "\u034f\u17b4\ufe0f",
    "ȺȾ Ⱥ" * 40,
    "\u0378 unassigned\u0378letter \U000e0fff \ufffe\uffff \ufdd0",
    "\U0010ffff\ue000 private",
    "ꭰᏸ Ꭰ Ⴀ ა Ა",
    "one-two_three.four/five\\six|seven\t8\n9\r\n10\u2028\u3000\u00a0",
    "NEW pro premium Deluxe STANDARD basic sale renewed profile premiums wholesale",
    "ａ" * 300 + " " + "b" * 300,
    "x",
    "x y",
)


def products(rows: Sequence[Mapping[str, object]]) -> pa.RecordBatch:
    """Build a batch of products; columns that a row leaves out are null (the title: empty)."""
    return pa.RecordBatch.from_pylist([EMPTY | dict(row) for row in rows], schema=columns.PRODUCT)


def hostile_rows() -> list[dict[str, object]]:
    """One product for each hostile text, which stands in every field."""
    return [EMPTY | dict.fromkeys(oracle.TEXT_FIELDS, text) for text in HOSTILE_TEXTS]


def catalogue(repository: Path, rows: slice) -> pa.RecordBatch:
    """Read rows of the sample catalogue as products."""
    table = pq.read_table(repository / "sortline" / "sample_data" / "pcparts.parquet")[rows]
    minor = [None if price is None else round(price * 100) for price in table["price"].to_pylist()]
    nothing = pa.nulls(table.num_rows)
    made: dict[str, Any] = {
        **dict.fromkeys(columns.PRODUCT.names, nothing),
        **{name: table[name] for name in ("product_id", "title", "description", "brand", "currency")},
        "seller_id": table["seller"],
        "price_minor": pa.array(minor, pa.int64()),
    }
    return pa.table(made).select(columns.PRODUCT.names).cast(columns.PRODUCT).combine_chunks().to_batches()[0]


def known_characters() -> st.SearchStrategy[str]:
    """Any character, but not one that this Python knows and the shipped tables do not."""
    classes = character_tables().classes
    newer = [
        chr(code)
        for code in np.flatnonzero(classes & UNASSIGNED)
        if unicodedata.category(chr(code)) not in ("Cn", "Cs")
    ]
    return st.characters(exclude_categories=["Cs"], exclude_characters=newer)


def texts() -> st.SearchStrategy[str]:
    """Texts of plain words, of hostile pieces and of any characters, mixed."""
    pieces = st.one_of(
        st.sampled_from(("new", "Pro", " ", "-", "RTX 4090", "SALE", "sale.", "\u0301", "\u200d")),
        st.sampled_from(HOSTILE_TEXTS),
        st.text(known_characters(), max_size=8),
        st.text(st.characters(max_codepoint=127), max_size=12),
    )
    return st.lists(pieces, max_size=6).map("".join)


def rows() -> st.SearchStrategy[dict[str, object]]:
    """Products with any of their optional fields."""
    text = st.none() | texts()
    return st.fixed_dictionaries(
        {
            "product_id": st.just("p"),
            "title": texts(),
            "description": text,
            "brand": text,
            "seller_id": text,
            "subcategory": text,
            "price_minor": st.none() | st.integers(-1000, 10**6) | st.integers(-(2**63), 2**63 - 1),
            "currency": st.none() | st.sampled_from(("EUR", "JPY", "KWD", "XYZ")),
            "rating": st.none() | st.floats(),
            "reviews_count": st.none() | st.integers(-5, 10**5) | st.integers(-(2**63), 2**63 - 1),
            "created_at": st.none(),
        }
    )


def block_tokens(matrix: FeatureMatrix, row: int, block: int) -> dict[int, float]:
    """Return the counts by bucket of one row's block, in their order."""
    tokens = matrix.tokens
    entries = slice(*tokens.indptr[row * tokens.n_blocks + block :][:2])
    return dict(zip(tokens.buckets[entries].tolist(), tokens.counts[entries].tolist(), strict=True))


def contents(matrix: FeatureMatrix) -> tuple[bytes, bytes, bytes, bytes]:
    """Return all bytes of a matrix, to compare two."""
    tokens = matrix.tokens
    parts: tuple[npt.NDArray[Any], ...] = (matrix.dense, tokens.indptr, tokens.buckets, tokens.counts)
    dense, indptr, buckets, counts = (part.tobytes() for part in parts)
    return dense, indptr, buckets, counts


def assert_equal_to_the_oracle(
    matrix: FeatureMatrix, spec: FeatureSpec, expected_of: Sequence[Mapping[str, object]]
) -> None:
    """Compare a matrix with what the oracle makes of the same products, byte for byte."""
    assert matrix.dense.dtype == np.float32
    assert matrix.dense.shape == (len(expected_of), spec.dense_width)
    assert matrix.dense.tobytes() == oracle.dense_matrix(expected_of, spec.price_edges, spec.categorical_buckets)
    assert matrix.tokens.indptr.shape == (len(expected_of) * len(spec.blocks) + 1,)
    for row, product in enumerate(expected_of):
        for position, block in enumerate(spec.blocks):
            expected = oracle.tokens(
                product, (block.field, block.kind, block.shortest, block.longest), spec.hash_bits
            )
            found = block_tokens(matrix, row, position)
            assert list(found.items()) == list(expected.items()), (product[block.field], block)
