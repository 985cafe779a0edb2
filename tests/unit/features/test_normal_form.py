from __future__ import annotations

import time
import unicodedata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import unicode_tables
from features.arrow_columns import text_column
from features.characters import UNASSIGNED, UNSTABLE, character_tables
from features.nfkc import normalized_rows
from features.normal_form import normal_forms
from tests.unit.features import made_products, oracle


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Crème Brûlée-Set (2 Stück)", ["crème", "brûlée", "set", "2", "stück"]),
        ("cre\u0300me", ["crème"]),
        ("ＦＵＬＬ　ｗｉｄｔｈ", ["full", "width"]),
        ("ΟΔΟΣ οδος", ["οδοσ", "οδοσ"]),
        ("STRASSE Straße GROẞ", ["strasse", "straße", "groß"]),
        ("İstanbul ışık", ["istanbul", "ışık"]),
        ("กุ้งแม่น้ำ", ["กุ้งแม่น\u0e49\u0e4dา"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("soft\u00adhyphen zero\u200bwidth", ["softhyphen", "zerowidth"]),
        ("\u202eabc\u202c\u2067אבג\u2069", ["abcאבג"]),
        ("❤️ 👨‍👩‍👧", []),
        ("a \u0301 b", ["a", "\u0301", "b"]),
        ("a\x00b", ["a", "b"]),
        ("½ x²", ["1", "2", "x2"]),
        ("𐐀", ["𐐨"]),
        ("한\u1112\u1161\u11ab", ["한한"]),
        ("", []),
    ],
)
def test_a_text_is_cut_into_these_words(text: str, words: list[str]) -> None:
    assert _normal_form(text) == " ".join(words)
    assert oracle.words_of(text) == words


def test_a_null_has_no_normal_form() -> None:
    batch = pa.record_batch({"title": pa.array(["a", None, ""])})

    assert normal_forms(batch, ["title"]).texts() == ["a", None, ""]


def test_fields_follow_one_another() -> None:
    batch = pa.record_batch([pa.array(["A b", "C"]), pa.array([None, "d"])], names=["title", "brand"])

    assert normal_forms(batch, ["brand", "title"]).texts() == [None, "d", "a b", "c"]


def test_every_character_of_the_tables_has_the_normal_form_of_the_oracle() -> None:
    classes = character_tables().classes
    characters = [chr(code) for code in np.flatnonzero(~classes & UNASSIGNED) if not 0xD800 <= code < 0xE000]
    # Between two letters, a character shows whether it joins, separates or vanishes.
    texts = [f"a{character}b" for character in characters]

    found = normal_forms(pa.record_batch({"title": texts}), ["title"]).texts()

    differing = [
        character
        for character, text, form in zip(characters, texts, found, strict=True)
        if form != " ".join(oracle.words_of(text))
    ]
    # Newer Pythons may class a few characters anew.
    assert len(differing) <= (0 if unicodedata.unidata_version == unicode_tables.UNICODE_VERSION else 50)


@settings(max_examples=300, deadline=None)
@given(made_products.texts())
def test_any_text_has_the_normal_form_of_the_oracle(text: str) -> None:
    assert _normal_form(text) == " ".join(oracle.words_of(text))


def _texts_that_change() -> st.SearchStrategy[str]:
    marks = st.sampled_from("\u0301\u0323\u0345\u0327\u0308\u093c\u0e38\u0e48\u0bbe\u1161\u11a8\u3099")
    bases = st.sampled_from("aeouA가각\u1100\u1112ทक\u0b92\u0928かカ ")
    unstable = st.sampled_from([chr(code) for code in np.flatnonzero(character_tables().classes & UNSTABLE)])
    return st.lists(st.one_of(marks, bases, unstable), max_size=12).map("".join)


@settings(max_examples=150, deadline=None)
@given(st.deferred(_texts_that_change))
def test_nfkc_is_that_of_unicodedata(text: str) -> None:
    assert _nfkc(text) == unicodedata.normalize("NFKC", text)


@pytest.mark.parametrize(
    "text",
    [
        "a\u0312\u0301",  # the first mark stays, and keeps an equal one from composing
        "a\u0323\u0312\u0301",
        "a\u0334\u0301",  # a mark of a lower class does not
        "\u1100\u0301\u1161",
        "\uac00\u11a7\uac01\u11a8",
        "\u0301\u1100\u1161\u11a8",
    ],
)
def test_what_stands_between_decides_whether_a_mark_composes(text: str) -> None:
    assert _nfkc(text) == unicodedata.normalize("NFKC", text)


def test_long_runs_of_marks_are_put_in_order_as_short_ones() -> None:
    text = "a" + "\u0301\u0323\u0345\u0327" * 50 + "b" + "\u0323\u0301" * 7

    assert _nfkc(text) == unicodedata.normalize("NFKC", text)


def test_half_a_megabyte_of_marks_takes_linear_time() -> None:
    marks = "a" + "\u0301\u0323" * 125_000
    _nfkc(marks[:100])
    before = time.process_time()

    _nfkc(marks)

    assert time.process_time() - before < 1  # by insertion it would be 15 billion steps


def test_broken_utf8_is_read_as_separators_and_never_past_its_end() -> None:
    for text in (
        b"a\xffb",
        b"a\xc3",
        b"\xe2\x82",
        b"\xf0\x9f\x98",
        b"\xf5\x80\x80\x80",
        b"a\x80b",
        b"\xf4\xbf\xbf\xbf",
    ):
        offsets = np.array([0, len(text)], np.int32).tobytes()
        titles = pa.StringArray.from_buffers(1, pa.py_buffer(offsets), pa.py_buffer(text))

        (form,) = normal_forms(pa.record_batch([titles], names=["title"]), ["title"]).texts()

        assert form in ("a b", "a", "")


@pytest.mark.skipif(
    unicodedata.unidata_version != unicode_tables.UNICODE_VERSION,
    reason="this Python has another Unicode version than the tables",
)
def test_the_shipped_tables_are_those_that_the_command_writes(repository: Path) -> None:
    shipped = repository / "features" / "data" / "characters.txt"

    assert shipped.read_bytes().decode("ascii") == unicode_tables.table_text()


def _normal_form(text: str) -> str | None:
    (form,) = normal_forms(pa.record_batch({"title": [text]}), ["title"]).texts()
    return form


def _nfkc(text: str) -> str:
    changed, rows = normalized_rows(text_column(pa.record_batch({"title": [text]}), "title"), character_tables())
    return changed.text[: changed.offsets[-1]].tobytes().decode() if len(rows) else text
