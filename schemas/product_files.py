"""A person's file of products (Parquet, CSV or JSON Lines) as the columns that the program works on."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from schemas import product_values
from schemas.columns import LABELLED_PRODUCT, PRODUCT
from schemas.errors import InputFileError
from schemas.file_readers import read_columns
from schemas.validation import check_labels, check_products

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_CONVERTERS: Final[dict[str, Callable[[Any], Any]]] = {
    "product_id": product_values.text,
    "title": product_values.text,
    "description": product_values.text,
    "brand": product_values.text,
    "seller_id": product_values.text,
    "subcategory": product_values.text,
    "price_minor": product_values.whole_number,
    "currency": product_values.currency_code,
    "rating": product_values.number,
    "reviews_count": product_values.whole_number,
    "created_at": product_values.milliseconds,
    "category_path": product_values.category_path,
    "group": product_values.text,
}
#: Other names that files have for a column; the column itself wins where a file has both.
_OTHER_NAMES: Final = {"seller_id": "seller", "category_path": "category"}
_REQUIRED: Final = frozenset({"product_id", "title", "category_path"})


def read_products(path: Path, *, labelled: bool, limit: int | None = None) -> pa.Table:
    """Return the products of a file, in its order, at most `limit` of them.

    The columns are those of `columns.PRODUCT`, or `columns.LABELLED_PRODUCT` if `labelled`, and then `group`, a
    text without gaps: the file's own, or else the folded title. Files have product_id and title, and optionally
    description, brand, seller_id (or seller), subcategory, price_minor or price (in major units, see
    `product_values.price_minor`), currency, rating, reviews_count, created_at; labels as category_path (a list)
    or category (a text, " > " between levels). Other columns are left alone. Every product is valid, as
    `validation.check_products` checks those of a topic.

    Raises InputFileError with one sentence that names the file, the row (from 1, without a header) and the column.
    """
    wanted = {*_CONVERTERS, *_OTHER_NAMES.values(), "price"}
    raw, names = read_columns(path, wanted, limit)
    schema = LABELLED_PRODUCT if labelled else PRODUCT
    columns: dict[str, list[Any]] = {}
    for name in (*schema.names, "group"):
        source = name if name in raw else _OTHER_NAMES.get(name, name)
        if source in raw:
            columns[name] = _convert(path, source, raw[source], _CONVERTERS[name], required=name in _REQUIRED)
        elif name in _REQUIRED:
            either = f"{name} or {_OTHER_NAMES[name]}" if name in _OTHER_NAMES else name
            raise InputFileError(f"{path.name} has no column {either}; it has {', '.join(names) or 'none at all'}")
    n_rows = len(columns["product_id"])
    if n_rows == 0:
        raise InputFileError(f"{path.name} has no rows")
    if "price" in raw and "price_minor" not in raw:
        columns["price_minor"] = _prices(path, raw["price"], columns.get("currency") or [None] * n_rows)
    groups = columns.pop("group", [None] * n_rows)
    arrays = [pa.array(columns.get(field.name, [None] * n_rows), field.type) for field in schema]
    batch = pa.RecordBatch.from_arrays(arrays, schema=schema)
    _check(path, batch, labelled=labelled)
    folded = [
        group if group is not None else fold_title(title)
        for group, title in zip(groups, columns["title"], strict=True)
    ]
    return pa.Table.from_batches([batch]).append_column(
        pa.field("group", pa.string()), pa.array(folded, pa.string())
    )


def _convert(
    path: Path, name: str, values: list[Any], convert: Callable[[Any], Any], *, required: bool
) -> list[Any]:
    converted = []
    for row, value in enumerate(values, start=1):
        try:
            result = convert(value)
        except ValueError as error:
            raise InputFileError(f"{path.name} row {row}: column {name}: {error}") from error
        if required and result is None:
            raise InputFileError(f"{path.name} row {row}: column {name} is empty, and every product needs one")
        converted.append(result)
    return converted


def _prices(path: Path, prices: list[Any], currencies: list[str | None]) -> list[int | None]:
    rest = iter(currencies)
    # The currencies come along with the prices, one each, in order.
    return _convert(
        path, "price", prices, lambda price: product_values.price_minor(price, next(rest)), required=False
    )


def _check(path: Path, batch: pa.RecordBatch, *, labelled: bool) -> None:
    keys = batch.column("product_id").cast(pa.binary()).to_pylist()
    faults = [*check_products(batch, keys), *(check_labels(batch) if labelled else ())]
    if faults:
        first = min(faults, key=lambda fault: fault.row)
        raise InputFileError(f"{path.name} row {first.row + 1}: {first.reason}")


class _Folded(dict[int, str]):
    """Each character as it is in a folded title, worked out when first met."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        # Marks belong to the letter before them: without its vowel signs, Thai or Hindi is another word.
        kept = character if unicodedata.category(character)[0] in "LMN" else " "
        self[code] = kept
        return kept


_FOLDED: Final = _Folded()


def fold_title(title: str) -> str:
    """Return a title's letters, marks and digits in lower case, with one space for whatever is between them.

    Titles that fold to the same text are split together, so that no product is both trained on and tested with.

    >>> fold_title("  NZXT\u00a0Hue+ (RGB), Ⅳ  ")
    'nzxt hue rgb iv'
    """
    lower = unicodedata.normalize("NFKC", title).lower()
    # Once more: a capital letter with a mark may have no character of its own, and its small one has.
    return " ".join(unicodedata.normalize("NFKC", lower).translate(_FOLDED).split())
