from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.matrix import vectorize
from features.prices import fit_price_edges
from features.spec import FeatureSpec, TextBlock, classic_spec, text_spec
from schemas.errors import SetupError
from tests.unit.features import made_products, oracle
from tests.unit.features.made_products import (
    assert_equal_to_the_oracle,
    block_tokens,
    contents,
    hostile_rows,
    products,
)

EDGES = (0.5, 10.0, 99.99, 1000.0)
SPEC = text_spec(EDGES)


def test_the_sample_catalogue_equals_the_oracle_byte_for_byte(repository: Path) -> None:
    batch = made_products.catalogue(repository, slice(30_000, 31_500))
    spec = text_spec(fit_price_edges(batch))

    assert_equal_to_the_oracle(vectorize(batch, spec), spec, batch.to_pylist())


def test_hostile_texts_equal_the_oracle_byte_for_byte() -> None:
    rows = hostile_rows()

    assert_equal_to_the_oracle(vectorize(products(rows), SPEC), SPEC, rows)


@settings(max_examples=40, deadline=None)
@given(st.lists(made_products.rows(), max_size=4))
def test_generated_products_equal_the_oracle_byte_for_byte(rows: list[dict[str, object]]) -> None:
    assert_equal_to_the_oracle(vectorize(products(rows), SPEC), SPEC, rows)


@settings(max_examples=25, deadline=None)
@given(
    made_products.texts(),
    st.sampled_from(("word", "char")),
    st.integers(1, 6),
    st.integers(0, 4),
    st.sampled_from((1, 8, 30)),
)
def test_every_shape_of_block_equals_the_oracle(
    title: str, kind: str, shortest: int, more: int, hash_bits: int
) -> None:
    block = TextBlock(
        field="title", kind="word" if kind == "word" else "char", shortest=shortest, longest=shortest + more
    )
    spec = FeatureSpec(profile="text", blocks=(block,), hash_bits=hash_bits, categorical_buckets=7)
    rows = [made_products.EMPTY | {"title": title}]

    assert_equal_to_the_oracle(vectorize(products(rows), spec), spec, rows)


@pytest.mark.parametrize("piece", ["word and other ", "endless", "ẞÄ\u0301 ", "กุ้ง", "x ", "\u0301 "])
def test_a_title_of_100_kb_and_a_description_of_500_kb_equal_the_oracle(piece: str) -> None:
    size = len(piece.encode())
    long = {"title": piece * (100_000 // size), "description": "".join(_varied(piece, 500_000 // size // 8))}
    rows = [made_products.EMPTY | {"title": "short one"}, made_products.EMPTY | long, made_products.EMPTY]

    assert_equal_to_the_oracle(vectorize(products(rows), SPEC), SPEC, rows)


@pytest.mark.parametrize("spec", [SPEC, classic_spec(EDGES)])
def test_a_batch_that_is_taken_in_pieces_equals_its_parts(spec: FeatureSpec) -> None:
    titles = pa.array([f"thing no {number} {'sale ' * (number % 5)}" for number in range(20_000)])
    batch = products([made_products.EMPTY | {"brand": "Acme"}]).take(pa.array([0] * len(titles)))
    batch = batch.set_column(batch.schema.get_field_index("title"), "title", titles)

    whole = vectorize(batch, spec)

    parts = [vectorize(batch.slice(start, 3000), spec) for start in range(0, len(titles), 3000)]
    assert whole.dense.tobytes() == b"".join(part.dense.tobytes() for part in parts)
    assert whole.tokens.buckets.tolist() == [bucket for part in parts for bucket in part.tokens.buckets.tolist()]
    assert whole.tokens.counts.tolist() == [count for part in parts for count in part.tokens.counts.tolist()]
    lengths = [length for part in parts for length in np.diff(part.tokens.indptr).tolist()]
    assert np.diff(whole.tokens.indptr).tolist() == lengths


def test_classic_has_the_same_dense_features_and_no_tokens() -> None:
    batch = products(hostile_rows())

    matrix = vectorize(batch, classic_spec(EDGES))

    assert matrix.dense.tobytes() == vectorize(batch, SPEC).dense.tobytes()
    assert matrix.tokens.n_blocks == 0
    assert matrix.tokens.indptr.tolist() == [0]
    assert len(matrix.tokens.buckets) == 0


def test_a_batch_of_n_equals_n_batches_of_one(repository: Path) -> None:
    batch = products([*made_products.catalogue(repository, slice(100, 130)).to_pylist(), *hostile_rows()])

    whole = vectorize(batch, SPEC)

    for row in range(batch.num_rows):
        single = vectorize(batch.slice(row, 1), SPEC)
        assert single.dense.tobytes() == whole.dense[row : row + 1].tobytes()
        for block in range(len(SPEC.blocks)):
            assert block_tokens(single, 0, block) == block_tokens(whole, row, block)


def test_the_same_products_give_the_same_bytes_again_and_are_not_changed() -> None:
    batch = products(hostile_rows())
    before = batch.serialize().to_pybytes()

    first = contents(vectorize(batch, SPEC))

    assert contents(vectorize(batch, SPEC)) == first
    assert batch.serialize().to_pybytes() == before


def test_threads_do_not_disturb_one_another(repository: Path) -> None:
    batches = [made_products.catalogue(repository, slice(start, start + 200)) for start in range(0, 1600, 200)]
    expected = [contents(vectorize(batch, SPEC)) for batch in batches]

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda batch: contents(vectorize(batch, SPEC)), batches * 3))

    assert found == expected * 3


def test_the_order_of_columns_and_columns_nobody_asked_for_do_not_matter() -> None:
    batch = products(hostile_rows())
    names = batch.schema.names
    random.Random(3).shuffle(names)
    shuffled = pa.table(batch.select(names)).append_column("colour", pa.nulls(batch.num_rows)).to_batches()[0]

    assert contents(vectorize(shuffled, SPEC)) == contents(vectorize(batch, SPEC))


def test_every_layout_of_a_text_column_gives_the_same_bytes() -> None:
    rows = [*hostile_rows(), made_products.EMPTY, made_products.EMPTY | {"title": "a", "brand": "Ünï"}]
    batch = products(rows)
    expected = contents(vectorize(batch, SPEC))

    for kind in (pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())):
        brands = batch["brand"].cast(pa.string()).cast(kind)
        position = batch.schema.get_field_index("brand")
        other = pa.record_batch(
            [brands if at == position else column for at, column in enumerate(batch.columns)],
            names=batch.schema.names,
        )
        assert contents(vectorize(other, SPEC)) == expected, kind


def test_a_slice_gives_the_rows_of_the_slice() -> None:
    rows = [row for hostile in hostile_rows() for row in (hostile, made_products.EMPTY, hostile)]
    batch = products(rows)

    for start, length in ((0, 3), (3, 17), (10, 1), (11, 1), (len(rows) - 2, 2), (5, 0)):
        part = batch.slice(start, length)
        assert_equal_to_the_oracle(vectorize(part, SPEC), SPEC, rows[start : start + length])


def test_whatever_stands_behind_a_null_is_not_read() -> None:
    # Arrow leaves the bytes behind a null open; here they are text, and not even valid UTF-8.
    offsets, text = np.array([0, 3, 6, 9], np.int32).tobytes(), b"new\xcc\x81\xffpro"
    brands = pa.StringArray.from_buffers(3, pa.py_buffer(offsets), pa.py_buffer(text), pa.py_buffer(b"\x05"), 1)
    rows = [made_products.EMPTY | {"brand": brand} for brand in ("new", None, "pro")]
    batch = products(rows)
    batch = batch.set_column(batch.schema.get_field_index("brand"), "brand", brands)

    assert_equal_to_the_oracle(vectorize(batch, SPEC), SPEC, rows)


def test_no_products_give_an_empty_matrix() -> None:
    matrix = vectorize(products([]), SPEC)

    assert matrix.dense.shape == (0, 19)
    assert matrix.tokens.indptr.tolist() == [0]


@pytest.mark.parametrize("missing", [*oracle.TEXT_FIELDS, "price_minor", "currency", "rating", "reviews_count"])
def test_a_missing_column_is_named(missing: str) -> None:
    batch = products([made_products.EMPTY])
    batch = batch.select([name for name in batch.schema.names if name != missing])

    with pytest.raises(SetupError, match=f"column {missing}"):
        vectorize(batch, SPEC)


@pytest.mark.parametrize(("column", "values"), [("title", [1]), ("brand", [b"x"]), ("rating", ["4.5"])])
def test_a_column_of_another_type_is_named(column: str, values: list[object]) -> None:
    batch = products([made_products.EMPTY])
    batch = batch.set_column(batch.schema.get_field_index(column), column, pa.array(values))

    with pytest.raises(SetupError, match=f"column {column} holds"):
        vectorize(batch, SPEC)


def test_only_the_columns_that_the_spec_needs_must_be_there() -> None:
    spec = FeatureSpec(profile="classic", dense=("has_sale", "price"), price_edges=EDGES)
    batch = pa.record_batch(
        [pa.array(["Sale"]), pa.array([250]), pa.array(["EUR"])], names=["title", "price_minor", "currency"]
    )

    assert vectorize(batch, spec).dense.tolist() == [[1.0, 2.5]]


def test_columns_of_nothing_but_nulls_are_missing_values_whatever_their_type() -> None:
    batch = products([made_products.EMPTY | {"title": "x"}])
    columns = [batch[name] if name == "title" else pa.nulls(1) for name in batch.schema.names]
    untyped = pa.record_batch(columns, names=batch.schema.names)

    assert contents(vectorize(untyped, SPEC)) == contents(vectorize(batch, SPEC))


def _varied(piece: str, n: int) -> list[str]:
    return [f"{piece}{number % 5000}" for number in range(n)]
