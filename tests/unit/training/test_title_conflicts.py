from __future__ import annotations

from training.title_conflicts import conflicting_titles

A, B, C = ("a",), ("b", "x"), ("b", "y")


def test_titles_that_fold_to_the_same_text_are_one() -> None:
    titles = ["USB-Hub, 4 ports", "Lamp", "usb hub 4 PORTS", "USB hub (4 ports)", "Lamp"]
    (found,) = conflicting_titles(titles, [A, C, B, B, C])

    assert found.title == "USB-Hub, 4 ports"
    assert found.rows == (0, 2, 3)
    assert list(found.counts.items()) == [(B, 2), (A, 1)]
    assert found.majority == B


def test_without_a_most_frequent_label_there_is_no_majority() -> None:
    (found,) = conflicting_titles(["Lamp", "Lamp", "Lamp", "lamp", "LAMP"], [C, A, C, A, B])

    assert list(found.counts.items()) == [(A, 2), (C, 2), (B, 1)]
    assert found.majority is None


def test_the_titles_of_most_products_come_first() -> None:
    found = conflicting_titles(["x", "x", "y", "y", "y", "z", "z"], [A, B, A, A, B, A, A])

    assert [one.title for one in found] == ["y", "x"]


def test_titles_without_a_letter_are_not_the_same() -> None:
    assert conflicting_titles(["---", "***", "!"], [A, B, C]) == ()
