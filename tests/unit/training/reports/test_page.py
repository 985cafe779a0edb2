from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import html5lib
import numpy as np
import pyarrow as pa
import pytest

from models.taxonomy import Path
from tests.tiny_model import fit_tiny_classifier, tiny_products
from tests.unit.training.made_outcomes import made_classes, made_manifest, made_outcomes
from training.comparison import compare
from training.reports import Report, build_report, render
from training.reports.page import percent, points, render_page

HOSTILE = (
    "</title></style><script>alert(1)</script><img src=x onerror=alert(2)> \" ' & \x1b[31m \u202egnp.exe {{ 7*7 }}"
)
SECTIONS = ["summary", "categories", "confusions", "confidence", "slices", "lineage"]


class Elements(HTMLParser):
    """Every start tag of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.text += " "

    def handle_data(self, data: str) -> None:
        self.text += data


@cache
def made_report(n_classes: int = 8, title: str = "A thing", name: str = "made-up") -> Report:
    classes: tuple[Path, ...] = made_classes(n_classes)
    if title == HOSTILE:
        classes = tuple((*path[:-1], f"{path[-1]} {HOSTILE}") for path in classes)
    outcomes, products = made_outcomes(2_000, classes, title=title)
    lineage: dict[str, object] = {
        "offsets": {"products.catalog": {"10": [5, 7000], "2": [0, 12]}},
        "schema_ids": [3, 4],
        "content_digest": "abc123",
        "seed": 7,
        "note": title,
    }
    return build_report(
        made_manifest(classes, name=name, lineage=lineage), outcomes, products, measured_on=f"rows of {title}"
    )


def compared_report() -> Report:
    products = pa.Table.from_batches([tiny_products(20)])
    classic, text = fit_tiny_classifier("classic", name=f"old {HOSTILE}"), fit_tiny_classifier(name="new")
    comparison = compare(classic, text, products)
    return replace(made_report(), comparison=comparison, comparison_note=f"A note {HOSTILE}.")


@pytest.mark.parametrize("n_classes", [2, 8, 600])
def test_a_page_needs_no_repair_and_has_every_section(n_classes: int) -> None:
    page = render_page(made_report(n_classes))

    html5lib.HTMLParser(strict=True).parse(page)
    elements = Elements(page)
    sections = [attributes.get("id") for tag, attributes in elements.tags if tag == "section"]
    assert sections == SECTIONS
    ids = [attributes["id"] for _, attributes in elements.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [str(attributes["href"]) for tag, attributes in elements.tags if tag == "a"]
    assert {link.removeprefix("#") for link in links} == set(SECTIONS)
    labelled = {
        str(attributes["aria-labelledby"]) for _, attributes in elements.tags if "aria-labelledby" in attributes
    }
    assert labelled <= set(ids)


def test_a_page_of_very_many_categories_lists_those_with_most_products(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = render_page(made_report(600))
    monkeypatch.setattr("training.reports.page._CATEGORIES_LISTED", 100)
    page = render_page(made_report(600))

    assert re.search(r"The 100 with most products of \d+ categories; all are in report.json", page)
    n_tested = sum(one.support > 0 for one in made_report(600).evaluation.classes)
    assert whole.count("<tr>") - page.count("<tr>") == n_tested - 100


def test_a_page_names_some_categories_that_are_no_class_and_counts_the_others() -> None:
    merged: dict[Path, Path] = {("a", str(k)): ("a",) for k in range(250)}
    page = render_page(replace(made_report(), merged=merged, excluded={("b",): 3}))

    assert len(re.findall(r"<li>.*is trained as", page)) == 200
    assert "And 51 more, which are in report.json." in page


def test_a_page_asks_for_nothing_from_elsewhere_and_runs_nothing() -> None:
    page = render_page(compared_report())

    elements = Elements(page)
    assert not {tag for tag, _ in elements.tags} & {"script", "link", "img", "iframe", "object", "form", "base"}
    for tag, attributes in elements.tags:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("src", "href", "xlink:href", "action"):
            assert str(attributes.get(name, "#")).startswith("#"), tag
    assert "url(" not in page
    assert "@import" not in page
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", page)


def test_titles_categories_and_names_are_shown_and_never_obeyed() -> None:
    page = render_page(made_report(title=HOSTILE, name=HOSTILE))

    html5lib.HTMLParser(strict=True).parse(page)
    elements = Elements(page)
    assert not {tag for tag, _ in elements.tags} & {"script", "img"}
    assert "<script>alert(1)</script>" in elements.text
    assert "{{ 7*7 }}" in elements.text
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_a_comparison_is_shown_and_its_foreign_text_is_harmless() -> None:
    page = render_page(compared_report())

    html5lib.HTMLParser(strict=True).parse(page)
    elements = Elements(page)
    assert not {tag for tag, _ in elements.tags} & {"script", "img"}
    assert [attributes["id"] for tag, attributes in elements.tags if tag == "section"][1] == "comparison"
    assert "A note </title>" in elements.text


def test_every_picture_and_every_table_says_what_it_is() -> None:
    elements = Elements(render_page(compared_report()))

    pictures = [attributes for tag, attributes in elements.tags if tag == "svg"]
    assert len(pictures) == 3
    assert all(attributes["role"] == "img" and attributes["aria-label"] for attributes in pictures)
    assert all("scope" in attributes for tag, attributes in elements.tags if tag == "th")
    scrolled = [attributes for _, attributes in elements.tags if attributes.get("class") == "scroll"]
    assert all(attributes["tabindex"] == "0" and attributes["aria-label"] for attributes in scrolled)


def test_the_figures_of_the_headline_are_those_of_the_evaluation() -> None:
    report = made_report()
    text = " ".join(Elements(render_page(report)).text.split())

    for share in (report.evaluation.accuracy, report.evaluation.coverage, report.evaluation.precision):
        assert percent(share).replace("\xa0", " ") in text
    assert f"{report.evaluation.n:,} products" in text
    assert percent(report.evaluation.baseline).replace("\xa0", " ") in text


def test_many_categories_begin_with_those_that_lose_most_and_fold_the_rest() -> None:
    report = made_report(600)
    page = render_page(report)

    tested = [one for one in report.evaluation.classes if one.support]
    assert len(tested) > 40
    assert f"The 20 of {len(tested)} categories that lose most" in page
    assert "<summary>All" in page
    assert len(page.encode()) < 2_000_000


def test_a_lineage_of_a_topic_tells_its_offsets_by_partition() -> None:
    text = " ".join(Elements(render_page(made_report())).text.split())

    assert "topic products.catalog" in text
    assert "calibration, threshold of unseen brands 0.9" in text
    assert re.search(r"partition first last 2 0 12 10 5 7,000", text)


def test_a_model_that_publishes_nothing_gets_its_page() -> None:
    outcomes, products = made_outcomes(200, made_classes(3))
    review = pa.array(["review"] * len(outcomes))
    silent = replace(
        outcomes,
        is_published=np.zeros(len(outcomes), np.bool_),
        decisions=outcomes.decisions.set_column(3, "decision", review),
    )
    files = render(build_report(made_manifest(made_classes(3)), silent, products, measured_on="all"))

    html5lib.HTMLParser(strict=True).parse(files["report.html"])
    assert "publishes nothing" in files["report.html"]
    assert "publishes nothing" in files["model-card.md"]


def test_one_product_is_enough_for_a_page() -> None:
    outcomes, products = made_outcomes(1, made_classes(3))

    html5lib.HTMLParser(strict=True).parse(
        render_page(build_report(made_manifest(made_classes(3)), outcomes, products, measured_on="one"))
    )


def test_shares_and_differences_read_as_people_write_them() -> None:
    assert [percent(0.9321), percent(1), percent(None), percent(0.00816, 2)] == [
        "93.2\xa0%",
        "100.0\xa0%",
        "–",
        "0.82\xa0%",
    ]
    assert [points(0.0123), points(-0.0123), points(0.00001), points(None)] == ["+1.2", "−1.2", "±0.0", "–"]
