"""The one text rule: from what a shop wrote to words that can be compared.

A text becomes its normal form in these steps, which the tests' oracle repeats in plain Python:

1. NFKC (`features.nfkc`).
2. Each code point, by its class: skipped ones vanish (format characters such as U+200D, variation selectors and
   other invisible ones); word characters (letters, numbers, marks) are folded to lower case, one code point to
   one; all others end a word.
3. The words are joined by one space.

In memory each value has a space before its first and after its last word, so that a word n-gram is one range of
bytes and a word with its padding is another. Normal forms are UTF-8.

>>> import pyarrow as pa
>>> titles = pa.record_batch({"title": ["Ｎｅｗ: Café-Crème №5", "ΛΟΓΟΣ λόγος", "---", None]})
>>> normal_forms(titles, ["title"]).texts()
['new café crème no5', 'λογοσ λόγοσ', '', None]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from features.arrow_columns import text_column
from features.characters import SKIPPED, WORD, character_tables
from features.nfkc import normalized_rows
from features.utf8 import decode_at, encode_at, is_valid


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalForms:
    """Normal forms of several fields: value `f * n_rows + r` is that of field f, row r.

    Attributes:
        text: uint8; value v is `text[bounds[v]:bounds[v + 1]]`: with outer spaces, or empty if without words.
        bounds: int64, one more than there are values.
        words: int64, where words start in `text`: those of value v, then `bounds[v + 1]`, as if another word
            followed. A word ends one byte before the next starts.
        word_bounds: int64; value v has `words[word_bounds[v]:word_bounds[v + 1]]`, one more than it has words.
        lengths: int64, code points without the outer spaces; -1 where the text is null.
    """

    text: npt.NDArray[np.uint8]
    bounds: npt.NDArray[np.int64]
    words: npt.NDArray[np.int64]
    word_bounds: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]

    def texts(self) -> list[str | None]:
        """Return the normal forms without outer spaces: for people and tests."""
        content = self.text.tobytes()
        return [
            None if self.lengths[v] < 0 else content[self.bounds[v] : self.bounds[v + 1]].decode().strip(" ")
            for v in range(len(self.lengths))
        ]


def normal_forms(products: pa.RecordBatch, fields: Sequence[str]) -> NormalForms:
    """Bring the text of the fields into normal form. The products are only read.

    Raises SetupError if the batch lacks a field.
    """
    tables = character_tables()
    n_rows = products.num_rows
    columns = [text_column(products, field) for field in fields]
    sources = [(column, *normalized_rows(column, tables)) for column in columns]
    n_bytes = sum(
        int(column.offsets[-1] - column.offsets[0]) + len(changed.text) for column, changed, _ in sources
    )
    n_values = len(fields) * n_rows
    # Lower case is at most half as long again (U+023A has 2 bytes, its lower case 3); a word has at least one
    # byte, and so has what separates it from the next. Eight more, so that hashing may read eight at a time.
    text = np.empty(n_bytes + n_bytes // 2 + 2 * n_values + 8, np.uint8)
    words = np.empty(n_bytes // 2 + 2 * n_values, np.int64)
    bounds = np.zeros(n_values + 1, np.int64)
    word_bounds = np.zeros(n_values + 1, np.int64)
    lengths = np.empty(n_values, np.int64)
    for position, (column, changed, changed_rows) in enumerate(sources):
        _fold(
            column.text,
            column.offsets,
            column.validity,
            column.first_bit,
            changed.text,
            changed.offsets,
            changed_rows,
            tables.ascii,
            tables.classes,
            tables.folds,
            position * n_rows,
            text,
            bounds,
            words,
            word_bounds,
            lengths,
        )
    return NormalForms(text=text, bounds=bounds, words=words, word_bounds=word_bounds, lengths=lengths)


@njit(cache=True, nogil=True)
def _fold(
    text: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    validity: npt.NDArray[np.uint8],
    first_bit: int,
    changed_text: npt.NDArray[np.uint8],
    changed_offsets: npt.NDArray[np.int64],
    changed_rows: npt.NDArray[np.int64],
    ascii_words: npt.NDArray[np.uint8],
    classes: npt.NDArray[np.uint8],
    folds: npt.NDArray[np.int32],
    first_value: int,
    to_text: npt.NDArray[np.uint8],
    bounds: npt.NDArray[np.int64],
    words: npt.NDArray[np.int64],
    word_bounds: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
) -> None:
    """Append the normal forms of one column, steps 2 and 3, as values `first_value` and following."""
    next_changed = 0
    to = bounds[first_value]
    n_words = word_bounds[first_value]
    for row in range(len(offsets) - 1):
        value = first_value + row
        source, at, end = text, offsets[row], offsets[row + 1]
        if next_changed < len(changed_rows) and changed_rows[next_changed] == row:
            source, at, end = changed_text, changed_offsets[next_changed], changed_offsets[next_changed + 1]
            next_changed += 1
        length = -1
        if is_valid(validity, first_bit + row):
            length = 0
            in_word = False
            start = to
            to_text[to] = 0x20
            to += 1
            while at < end:
                byte = source[at]
                if byte < 0x80:
                    at += 1
                    folded = ascii_words[byte]
                    if folded:
                        if not in_word:
                            in_word = True
                            words[n_words] = to
                            n_words += 1
                        to_text[to] = folded
                        to += 1
                        length += 1
                    elif in_word:
                        in_word = False
                        to_text[to] = 0x20
                        to += 1
                        length += 1
                    continue
                code, at = decode_at(source, at, end)
                kind = classes[code]
                if kind & WORD:
                    if not in_word:
                        in_word = True
                        words[n_words] = to
                        n_words += 1
                    if code < len(folds):
                        code = int(folds[code])
                    length += 1
                    to = encode_at(to_text, to, code)
                elif in_word and not kind & SKIPPED:
                    in_word = False
                    to_text[to] = 0x20
                    to += 1
                    length += 1
            if in_word:
                to_text[to] = 0x20
                to += 1
            elif length > 0:
                length -= 1  # the last space written is the outer one
            if to == start + 1:
                to = start
        words[n_words] = to
        n_words += 1
        bounds[value + 1] = to
        word_bounds[value + 1] = n_words
        lengths[value] = length
