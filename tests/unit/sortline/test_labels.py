from __future__ import annotations

import json
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from sortline.label_report import REPORT
from sortline.main import main
from tests.unit.training.test_label_audit import clean_products, relabelled


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two wrong labels, and a title with three products of which one is labelled otherwise."""
    rows = relabelled(clean_products(200), [10, 57]).to_pylist()
    for row in (20, 25, 30):
        rows[row]["title"] = "Headset \x1b[31m one"
    rows[30]["category_path"] = ["Computer", "laptop"]
    file = tmp_path_factory.mktemp("labels") / "products.jsonl"
    lines = (json.dumps(row, default=str) for row in rows)
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def test_suspects_and_titles_are_shown_and_all_are_written(
    catalogue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "made" / "suspects.parquet"
    assert main(["labels", "audit", "--from", str(catalogue), "--to", str(to), "--limit", "1"]) == 0

    shown, progress = capsys.readouterr()
    assert "Fitting the text model" in progress
    assert "more: --limit shows more" in shown
    assert "\x1b" not in shown
    assert max(map(len, shown.splitlines())) <= 100 + len(str(to))
    report = pq.read_table(to)
    assert report.schema.names == REPORT.names
    rows = {row["product_id"]: row for row in report.to_pylist()}
    assert rows["p00010"]["label"] == "Audio > speakers"
    assert rows["p00010"]["suggested_label"] == "Audio > headphones"
    assert rows["p00010"]["reason"] == "model"
    assert rows["p00010"]["confidence"] > 0.5
    assert rows["p00030"]["reason"] in {"title", "model and title"}
    assert rows["p00030"]["suggested_label"] == "Audio > headphones"
    assert rows["p00030"]["same_title"] == "Audio > headphones: 2, Computer > laptop: 1"
    assert not {"p00020", "p00025"} & rows.keys()


@pytest.mark.parametrize("name", ["suspects.csv", "suspects.jsonl"])
def test_the_file_is_of_the_kind_that_its_name_says(catalogue: Path, tmp_path: Path, name: str) -> None:
    to = tmp_path / name
    assert main(["labels", "audit", "--from", str(catalogue), "--to", str(to)]) == 0
    if name.endswith(".csv"):
        assert pyarrow.csv.read_csv(to).column_names == REPORT.names
    else:
        assert set(json.loads(to.read_text(encoding="utf-8").splitlines()[0])) == set(REPORT.names)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "give exactly one of --from FILE and --from-topic"),
        (["--from", "x.csv", "--from-topic"], "give exactly one of --from FILE and --from-topic"),
        (["--from", "x.csv", "--to", "x.xlsx"], "option --to: x.xlsx must end in .csv, .parquet or .jsonl"),
    ],
)
def test_a_wrong_call_is_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["labels", "audit", *arguments]) == 2
    assert capsys.readouterr().err == f"error: {sentence}\n"


def test_a_file_without_labels_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "products.csv"
    file.write_text("product_id,title\np-1,Desk\n")
    assert main(["labels", "audit", "--from", str(file)]) == 2
    assert "products.csv has no column category_path or category" in capsys.readouterr().err
