"""The one text rule: from what a shop wrote to words that can be compared.

A text becomes its normal form in these steps, which the tests' oracle repeats in plain Python:

1. Code points that the tables' Unicode version does not assign become U+0020.
2. NFKC.
3. Each code point, by its class: skipped ones vanish (format characters such as U+200D, variation selectors and
   other invisible ones); word characters (letters, numbers, marks) are folded to lower case, one code point to
   one; all others end a word.
4. The words are joined by one space.

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
import pyarrow.compute as pc
from numba import njit

from features.arrow_columns import TextColumn, text_column
from features.unicode_tables import SKIPPED, UNASSIGNED, UNSTABLE, WORD, load_tables


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
    tables = load_tables()
    n_rows = products.num_rows
    sources = [(column, *_normalized(column)) for column in (text_column(products, field) for field in fields)]
    n_bytes = sum(
        int(column.offsets[-1] - column.offsets[0]) + len(changed.text) for column, changed, _ in sources
    )
    n_values = len(fields) * n_rows
    # Lower case is at most half as long again (U+023A has 2 bytes, its lower case 3); a word has at least one
    # byte, and so has what separates it from the next.
    text = np.empty(n_bytes + n_bytes // 2 + 2 * n_values, np.uint8)
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


def _normalized(column: TextColumn) -> tuple[TextColumn, npt.NDArray[np.int64]]:
    """Return the NFKC of the rows that it may change, and which rows they are, ascending.

    NFKC is costly, and most rows, even of accented, Cyrillic or Chinese text, are their own NFKC, which a lookup a
    code point shows (the quick check of Unicode's annex 15).
    """
    classes = load_tables().classes
    rows = np.empty(len(column.offsets) - 1, np.int64)
    n_unstable = _unstable_rows(column.text, column.offsets, column.validity, column.first_bit, classes, rows)
    rows = rows[:n_unstable]
    gathered_offsets = np.zeros(n_unstable + 1, np.int64)
    if n_unstable == 0:
        return TextColumn(
            text=column.text[:0], offsets=gathered_offsets, validity=column.text[:0], first_bit=0
        ), rows
    np.cumsum(column.offsets[rows + 1] - column.offsets[rows], out=gathered_offsets[1:])
    gathered = np.empty(gathered_offsets[-1], np.uint8)
    _gather(column.text, column.offsets, classes, rows, gathered_offsets, gathered)
    array = pa.LargeStringArray.from_buffers(
        n_unstable, pa.py_buffer(gathered_offsets.data), pa.py_buffer(gathered.data), null_count=0
    )
    changed = pc.utf8_normalize(array, form="NFKC")  # type: ignore[attr-defined]  # its stubs lack it
    return text_column(pa.record_batch([changed], names=["changed"]), "changed"), rows


@njit(cache=True, nogil=True)
def _code_point(text: npt.NDArray[np.uint8], at: int, end: int) -> tuple[int, int]:
    """Decode the code point at `at`; return it and where the next starts, never after `end`.

    Text was checked at the edge; where it is broken all the same, U+FFFD is returned and nothing outside is read.
    """
    lead = int(text[at])
    if lead < 0x80:
        return lead, at + 1
    if lead < 0xE0:
        if lead >= 0xC0 and at + 2 <= end:
            return ((lead & 0x1F) << 6) | int(text[at + 1] & 0x3F), at + 2
    elif lead < 0xF0:
        if at + 3 <= end:
            return ((lead & 0x0F) << 12) | (int(text[at + 1] & 0x3F) << 6) | int(text[at + 2] & 0x3F), at + 3
    elif lead < 0xF5 and at + 4 <= end:
        code = (
            ((lead & 0x07) << 18)
            | (int(text[at + 1] & 0x3F) << 12)
            | (int(text[at + 2] & 0x3F) << 6)
            | int(text[at + 3] & 0x3F)
        )
        if code < 0x110000:
            return code, at + 4
    return 0xFFFD, at + 1


@njit(cache=True, nogil=True)
def _is_valid(validity: npt.NDArray[np.uint8], bit: int) -> bool:
    return len(validity) == 0 or bool((validity[bit >> 3] >> (bit & 7)) & 1)


@njit(cache=True, nogil=True)
def _unstable_rows(
    text: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    validity: npt.NDArray[np.uint8],
    first_bit: int,
    classes: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.int64],
) -> int:
    """Write the rows that NFKC may change into `rows`; return how many they are."""
    n_unstable = 0
    for row in range(len(offsets) - 1):
        if not _is_valid(validity, first_bit + row):
            continue  # Arrow lets anything stand behind a null
        at = offsets[row]
        end = offsets[row + 1]
        while at < end:
            if text[at] < 0x80:
                at += 1
                continue
            code, at = _code_point(text, at, end)
            if classes[code] & UNSTABLE:
                rows[n_unstable] = row
                n_unstable += 1
                break
    return n_unstable


@njit(cache=True, nogil=True)
def _gather(
    text: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    classes: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.int64],
    gathered_offsets: npt.NDArray[np.int64],
    gathered: npt.NDArray[np.uint8],
) -> None:
    """Copy the rows one after the other, unassigned code points as spaces; makes `gathered_offsets` fit."""
    to = 0
    for position in range(len(rows)):
        gathered_offsets[position] = to
        at = offsets[rows[position]]
        end = offsets[rows[position] + 1]
        while at < end:
            code, following = _code_point(text, at, end)
            if classes[code] & UNASSIGNED:
                gathered[to] = 0x20
                to += 1
            else:
                while at < following:
                    gathered[to] = text[at]
                    to += 1
                    at += 1
            at = following
    gathered_offsets[len(rows)] = to


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
    """Append the normal forms of one column, steps 3 and 4, as values `first_value` and following."""
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
        if _is_valid(validity, first_bit + row):
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
                code, at = _code_point(source, at, end)
                kind = classes[code]
                if kind & WORD:
                    if not in_word:
                        in_word = True
                        words[n_words] = to
                        n_words += 1
                    if code < len(folds):
                        code = folds[code]
                    length += 1
                    if code < 0x80:
                        to_text[to] = code
                        to += 1
                    elif code < 0x800:
                        to_text[to] = 0xC0 | (code >> 6)
                        to_text[to + 1] = 0x80 | (code & 0x3F)
                        to += 2
                    elif code < 0x10000:
                        to_text[to] = 0xE0 | (code >> 12)
                        to_text[to + 1] = 0x80 | ((code >> 6) & 0x3F)
                        to_text[to + 2] = 0x80 | (code & 0x3F)
                        to += 3
                    else:
                        to_text[to] = 0xF0 | (code >> 18)
                        to_text[to + 1] = 0x80 | ((code >> 12) & 0x3F)
                        to_text[to + 2] = 0x80 | ((code >> 6) & 0x3F)
                        to_text[to + 3] = 0x80 | (code & 0x3F)
                        to += 4
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
