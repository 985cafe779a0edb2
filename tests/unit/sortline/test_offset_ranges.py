from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas.errors import SetupError
from sortline.offset_ranges import LAST_OFFSET, OffsetRange, limited, parse_offsets, parse_range, ranges_text

TOPIC = "products.created"


def _parsed(text: str | Path) -> tuple[OffsetRange, ...]:
    return parse_offsets(str(text), option="--from-offsets", topic=TOPIC)


def test_ranges_are_partitions_with_offsets_both_ends_included() -> None:
    assert _parsed("0:100-200,1:0-") == (
        OffsetRange(partition=0, first=100, last=200),
        OffsetRange(partition=1, first=0, last=LAST_OFFSET),
    )
    assert _parsed("2, 3:7") == (
        OffsetRange(partition=2, first=0, last=LAST_OFFSET),
        OffsetRange(partition=3, first=7, last=7),
    )


@pytest.mark.parametrize("text", ["", "x", "0:5-2", "0:-3", "0:1-2,", "0:1..2", "-1:3"])
def test_a_text_that_means_no_offsets_names_the_option(text: str) -> None:
    with pytest.raises(SetupError, match="option --from-offsets: "):
        _parsed(text)


@pytest.mark.parametrize("around", ["{}", '{{"offsets": {}}}', '{{"lineage": {{"offsets": {}}}}}'])
def test_a_file_holds_offsets_alone_or_inside_of_a_lineage_or_a_manifest(tmp_path: Path, around: str) -> None:
    file = tmp_path / "offsets.json"
    file.write_text(around.format(json.dumps({TOPIC: {"0": [5, 9], "2": [0, 0]}})))
    assert ranges_text(_parsed(file)) == "0:5-9,2:0-0"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "is not JSON"),
        ("[]", "must hold offsets"),
        ('{"products.catalog": {"0": [1, 2]}}', "has offsets of products.catalog, not of products.created"),
        ('{"products.created": {"0": [1]}}', "must hold offsets"),
        ('{"products.created": {"0": [1, "2"]}}', "must hold offsets"),
        ('{"products.created": {"zero": [1, 2]}}', "must hold offsets"),
        ('{"products.created": [1, 2]}', "must hold offsets"),
        ('{"products.created": {"0": [3, 2]}}', "ends before it begins"),
    ],
)
def test_a_file_that_holds_no_offsets_of_the_topic_is_told_what_is_wrong(
    tmp_path: Path, content: str, sentence: str
) -> None:
    file = tmp_path / "offsets.json"
    file.write_text(content)
    with pytest.raises(SetupError, match=sentence):
        _parsed(file)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot be read"):
        _parsed(tmp_path / "none.json")


def test_limits_cut_what_is_behind_them_and_choose_partitions_where_nothing_else_does() -> None:
    ranges = _parsed("0:5-90,1:7-,2:50-60")
    assert ranges_text(limited(ranges, _parsed("0:20,2:40"))) == "0:5-20,1:7-"
    assert ranges_text(limited(None, _parsed("1:8,0:3-4"))) == "0:0-4,1:0-8"


def test_one_range_may_be_parsed_for_any_option() -> None:
    with pytest.raises(SetupError, match="option --offsets: "):
        parse_range("1-2")
