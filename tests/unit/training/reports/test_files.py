from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from schemas.errors import SetupError
from tests.unit.training.made_outcomes import made_classes, made_manifest, made_outcomes
from training.reports import Report, build_report, render, write_report
from training.reports.files import FILES, check_folder

HOSTILE = "a|b <script>alert(1)</script> [x](javascript:alert) `c` *d* \n# e"


def made_report(name: str = "made-up") -> Report:
    classes = (*made_classes(7), ("Odd", HOSTILE))
    outcomes, products = made_outcomes(1_500, classes, title=HOSTILE)
    return build_report(made_manifest(classes, name=name), outcomes, products, measured_on="made-up products")


def test_the_json_holds_what_the_page_shows() -> None:
    report = made_report()
    document = json.loads(render(report)["report.json"])

    assert document["report_format"] == 1
    assert document["evaluation"]["accuracy"] == report.evaluation.accuracy
    assert document["coverage"]["value"] == report.evaluation.coverage
    assert document["manifest"]["version"] == report.manifest.version
    assert len(document["evaluation"]["classes"]) == 8
    assert document["confusions"][0]["examples"][0]["title"].startswith("a|b <script>")
    assert document["confusions"][0]["n"] == report.confusions[0].n
    assert len(document["slices"]) == len(report.slices)
    curve = document["curves"]["any_level"]
    assert len(curve["coverage"]) == len(curve["risk"]) == len(curve["threshold"]) > 10
    assert document["comparison"] is None


def test_the_card_is_markdown_whose_foreign_text_stays_text() -> None:
    card = render(made_report(name=HOSTILE))["model-card.md"]

    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(card)
    assert "<script>" not in html
    assert 'javascript:alert"' not in html
    assert html.count("<h1>") == 1
    for heading in ("Intended use", "Data", "Metrics", "Thresholds", "Limits", "Model"):
        assert f"<h2>{heading}</h2>" in html
    assert "(coverage)" in html
    assert "not in training it takes 0.9000" in html
    assert "a|b &lt;script&gt;" in html


def test_a_bundle_of_an_older_format_gets_its_card() -> None:
    classes = made_classes(3)
    outcomes, products = made_outcomes(100, classes)
    manifest = replace(made_manifest(classes), format_version=1, calibration={"temperature": 1.0}, lineage={})
    card = render(build_report(manifest, replace(outcomes, unseen=None), products, measured_on="all"))[
        "model-card.md"
    ]

    assert "published from a probability of its own on, 0.50 to 0.90, and 1 never are" in card
    assert "not in training it takes" not in card


def test_files_are_written_beside_what_else_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "report"
    contents = render(made_report())
    write_report(contents, folder)
    (folder / "notes.txt").write_text("mine")
    write_report({**contents, "report.json": "{}"}, folder)

    assert {file.name for file in folder.iterdir()} == {*FILES, "notes.txt"}
    assert (folder / "report.json").read_text() == "{}"
    assert (folder / "report.html").read_text(encoding="utf-8") == contents["report.html"]


def test_a_folder_that_cannot_hold_a_report_is_named_before_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    check_folder(tmp_path / "bundle.report", bundle=tmp_path / "bundle")

    with pytest.raises(SetupError, match="is a file, not a folder"):
        check_folder(tmp_path / "file", bundle=tmp_path / "bundle")
    for inside in ("bundle", "bundle/report"):
        with pytest.raises(SetupError, match="is in the bundle"):
            check_folder(tmp_path / inside, bundle=tmp_path / "bundle")


def test_a_report_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")

    with pytest.raises(SetupError, match="cannot be written"):
        write_report(render(made_report()), tmp_path / "file")
