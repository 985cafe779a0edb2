"""Checks of whole columns: what a product must be before the program trusts it.

A batch without faults costs a few aggregates a column; reasons are written only for rows that have one.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, cast

import pyarrow as pa
import pyarrow.compute as pc

from schemas.clean_columns import (
    Spans,
    Texts,
    are_finite_and_not_negative,
    are_same,
    are_three_capitals,
    are_visible,
    have_sizes,
)
from schemas.decoding import Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

#: The most bytes of UTF-8 that each text may have. A title or description beyond it is a file or a mistake, and a
#: brand or seller beyond it is another field's text.
LARGEST_TEXT_BYTES: Final = {
    "product_id": 256,
    "title": 131_072,
    "description": 524_288,
    "brand": 1_024,
    "seller_id": 1_024,
    "subcategory": 1_024,
}
LARGEST_LEVEL_BYTES: Final = 1_024

_NOT_EMPTY: Final = frozenset({"product_id", "title"})

# Its stubs refuse a number beside an array, and an array whose type only the run knows.
_pc: Final[Any] = pc

_CURRENCY: Final = re.compile("[A-Z]{3}")
_SHOWN_CHARACTERS: Final = 40

_Problems = defaultdict[int, list[str]]


def check_products(batch: pa.RecordBatch, keys: Sequence[bytes | None] | Spans) -> tuple[Rejected, ...]:
    """Return the rows that are no valid products, in order, each with all that is wrong with it.

    `keys` are the records' keys, aligned to the batch's rows, null where a record has none; `row` is a row of the
    batch. The batch has the columns of `columns.PRODUCT` (and may have more), with valid UTF-8, as the decoder
    gives them.
    """
    if len(keys) != batch.num_rows:
        raise ValueError(f"{len(keys)} keys for {batch.num_rows} rows")
    problems: _Problems = defaultdict(list)
    columns: dict[str, pa.Array[Any]] = dict(zip(batch.schema.names, batch.columns, strict=True))
    texts = {name: Texts.of(columns[name]) for name in (*LARGEST_TEXT_BYTES, "currency")}
    if not (isinstance(keys, Spans) and are_same(texts["product_id"], keys)):
        found = keys.to_pylist() if isinstance(keys, Spans) else keys
        _check_keys(columns["product_id"], found, problems)
    for name, largest in LARGEST_TEXT_BYTES.items():
        if not have_sizes(texts[name], int(name in _NOT_EMPTY), largest):
            _check_size(columns[name], name, largest, problems)
    if not are_visible(texts["title"]):
        _check_not_blank(columns["title"], problems)
    for name in ("price_minor", "reviews_count"):
        if not are_finite_and_not_negative(columns[name]):
            _check_not_negative(columns[name], name, problems)
    if not are_finite_and_not_negative(columns["rating"]):
        _check_rating(columns["rating"], problems)
    if not are_three_capitals(texts["currency"]):
        _check_currency(columns["currency"], problems)
    return _rejected(problems)


def check_labels(batch: pa.RecordBatch) -> tuple[Rejected, ...]:
    """Return the rows whose `category_path` is no category, in order, each with all that is wrong with it."""
    paths = batch.column("category_path")
    problems: _Problems = defaultdict(list)
    for row in _where(_pc.equal(_pc.list_value_length(paths), 0)):
        problems[row].append("category_path is empty, expected at least one level")
    levels, parents = _pc.list_flatten(paths), _pc.list_parent_indices(paths)
    sizes = _pc.binary_length(levels)
    for at in _where(_pc.or_(_pc.equal(sizes, 0), _pc.utf8_is_space(levels))):
        row = parents[at].as_py()
        problems[row].append(f"category_path has a blank level ({shortened(paths[row].as_py())})")
    if _beyond(_pc.max, sizes, lambda size: size > LARGEST_LEVEL_BYTES):
        for at in _where(_pc.greater(sizes, LARGEST_LEVEL_BYTES)):
            problems[parents[at].as_py()].append(
                f"category_path has a level of {sizes[at]} bytes, at most {LARGEST_LEVEL_BYTES} are allowed "
                f"({shortened(levels[at].as_py())})"
            )
    return _rejected(problems)


def shortened(value: object) -> str:
    """Return a value as a person may read it in a sentence: quoted if it is text, cut if it is long.

    >>> shortened("lamp"), shortened(b"lamp"), shortened(-5)
    ("'lamp'", "'lamp'", '-5')
    """
    if isinstance(value, bytes):
        with contextlib.suppress(UnicodeDecodeError):
            value = value.decode()
    if isinstance(value, str):
        return repr(value[:_SHOWN_CHARACTERS]) + ("…" if len(value) > _SHOWN_CHARACTERS else "")
    text = str(value)
    return text[:_SHOWN_CHARACTERS] + ("…" if len(text) > _SHOWN_CHARACTERS else "")


def _check_keys(product_ids: pa.Array[Any], keys: Sequence[bytes | None], problems: _Problems) -> None:
    expected = product_ids.cast(pa.binary()).to_pylist()
    if expected == list(keys):
        return
    for row, (key, product_id) in enumerate(zip(keys, expected, strict=True)):
        if key != product_id:
            found = "missing" if key is None else shortened(key)
            problems[row].append(f"key is {found}, expected the product_id {shortened(product_id)}")


def _check_size(column: pa.Array[Any], name: str, largest: int, problems: _Problems) -> None:
    sizes = _pc.binary_length(column)
    if _beyond(_pc.max, sizes, lambda size: size > largest):
        for row in _where(_pc.greater(sizes, largest)):
            value = shortened(column[row].as_py())
            problems[row].append(f"{name} has {sizes[row]} bytes, at most {largest} are allowed ({value})")
    if name in _NOT_EMPTY and _beyond(_pc.min, sizes, lambda size: size == 0):
        for row in _where(_pc.equal(sizes, 0)):
            problems[row].append(f"{name} is empty")


def _check_not_blank(column: pa.Array[Any], problems: _Problems) -> None:
    blank = _pc.utf8_is_space(column)  # of Unicode, and False for an empty text
    if _beyond(_pc.any, blank, bool):
        for row in _where(blank):
            problems[row].append(f"title is blank ({shortened(column[row].as_py())})")


def _check_not_negative(column: pa.Array[Any], name: str, problems: _Problems) -> None:
    if _beyond(_pc.min, column, lambda smallest: smallest < 0):
        for row in _where(_pc.less(column, 0)):
            problems[row].append(f"{name} is {column[row]}, expected 0 or more")


def _check_rating(column: pa.Array[Any], problems: _Problems) -> None:
    # A sum is finite only if every part is (or the parts are near the largest double, and are looked at in vain).
    if _beyond(_pc.min, column, lambda smallest: smallest < 0) or _beyond(
        _pc.sum, column, lambda total: not math.isfinite(total)
    ):
        for row in _where(_pc.invert(_pc.and_(_pc.is_finite(column), _pc.greater_equal(column, 0)))):
            problems[row].append(f"rating is {column[row]}, expected a finite number, 0 or more")


def _check_currency(column: pa.Array[Any], problems: _Problems) -> None:
    # There are few different ones, so each is looked at once.
    for value in _pc.unique(column).to_pylist():
        if value is not None and not _CURRENCY.fullmatch(value):
            for row in _where(_pc.equal(column, value)):
                expected = "expected three capital letters such as EUR (ISO 4217)"
                problems[row].append(f"currency is {shortened(value)}, {expected}")


def _beyond(aggregate: Callable[[Any], Any], column: pa.Array[Any], is_beyond: Callable[[Any], bool]) -> bool:
    value = aggregate(column).as_py()
    return value is not None and is_beyond(value)


def _where(mask: Any) -> Iterable[int]:
    return cast("list[int]", _pc.indices_nonzero(mask).to_pylist())


def _rejected(problems: _Problems) -> tuple[Rejected, ...]:
    return tuple(Rejected(row=row, reason="; ".join(problems[row])) for row in sorted(problems))
