from __future__ import annotations

import pytest

from tests.unit.training.made_catalog import made_products
from training.lineage import Lineage
from training.retrain import (
    Action,
    Champion,
    champion_of,
    decide_by_labels,
    decide_by_offsets,
    is_recreated,
    offsets_of,
    records_since,
)
from training.row_digests import LabelChanges, changes_between, row_digests

OFFSETS = {0: (0, 99), 1: (5, 49)}
CHAMPION = Champion(version=3, digest="d3", offsets=OFFSETS)
UNMOVED = {0: (0, 100), 1: (5, 50)}
NONE = LabelChanges(new=0, changed=0, removed=0)


def test_without_a_champion_the_first_model_is_trained_whatever_the_topic_holds() -> None:
    assert decide_by_offsets(None, UNMOVED).action is Action.TRAIN


def test_a_topic_that_ends_where_the_champion_s_snapshot_ended_is_not_read() -> None:
    assert decide_by_offsets(CHAMPION, UNMOVED).action is Action.NOTHING


def test_a_partition_that_was_empty_and_still_is_does_not_count_as_moved() -> None:
    assert decide_by_offsets(CHAMPION, {**UNMOVED, 2: (0, 0)}).action is Action.NOTHING


@pytest.mark.parametrize(
    ("bounds", "n"),
    [
        ({0: (0, 101), 1: (5, 50)}, 1),
        ({0: (0, 100), 1: (5, 50), 2: (0, 7)}, 7),  # a partition that was empty or is new
        ({0: (120, 130), 1: (5, 50)}, 10),  # what came between was deleted since
    ],
)
def test_records_past_the_champion_s_snapshot_let_the_labels_be_counted(
    bounds: dict[int, tuple[int, int]], n: int
) -> None:
    assert records_since(OFFSETS, bounds) == n
    assert decide_by_offsets(CHAMPION, bounds).action is Action.COUNT


@pytest.mark.parametrize("bounds", [{0: (0, 99), 1: (5, 50)}, {0: (0, 100)}, {0: (0, 0), 1: (0, 0)}])
def test_a_topic_that_was_made_anew_is_recognised_by_offsets_that_went_back(
    bounds: dict[int, tuple[int, int]],
) -> None:
    assert is_recreated(OFFSETS, bounds)
    decision = decide_by_offsets(CHAMPION, bounds)
    assert decision.action is Action.COUNT
    assert "made anew" in decision.why


def test_a_champion_from_a_file_or_of_another_topic_lets_the_labels_be_counted() -> None:
    lineage = Lineage(
        topic="other.catalog",
        offsets=OFFSETS,
        schema_ids=frozenset({1}),
        rows=1,
        removed=0,
        rejected=0,
        content_digest="d",
    ).to_json()
    of_topic = champion_of(1, {**lineage}, topic="other.catalog")
    assert of_topic.offsets == OFFSETS
    for one in (
        champion_of(1, {**lineage}, topic="products.catalog"),
        champion_of(1, {"file": "a.csv"}, topic="x"),
    ):
        assert decide_by_offsets(one, UNMOVED).action is Action.COUNT


def test_a_champion_whose_bundle_does_not_load_is_replaced() -> None:
    damaged = Champion(version=3, digest="d3", offsets=None, loads=False)
    assert decide_by_offsets(damaged, UNMOVED).action is Action.TRAIN


def decided(
    changes: LabelChanges | None,
    *,
    min_new: int = 1,
    digest: str = "now",
    trained_already: int | None = None,
    is_judged: bool = True,
) -> Action:
    return decide_by_labels(
        CHAMPION,
        changes,
        digest=digest,
        min_new=min_new,
        trained_already=trained_already,
        is_judged=is_judged,
    ).action


def test_new_changed_and_removed_labels_add_up_to_enough_or_not() -> None:
    changes = LabelChanges(new=2, changed=3, removed=4)
    assert decided(changes, min_new=9) is Action.TRAIN
    assert decided(changes, min_new=10) is Action.NOTHING


def test_records_that_say_what_was_said_before_are_nothing_new() -> None:
    assert decided(NONE, digest="d3") is Action.NOTHING
    assert decided(None, digest="d3") is Action.NOTHING


def test_a_run_that_does_not_tell_its_products_leads_to_a_training_if_the_digest_differs() -> None:
    assert decided(None, min_new=10_000) is Action.TRAIN


def test_the_same_products_are_not_trained_on_twice_but_a_version_never_judged_is_promoted() -> None:
    changes = LabelChanges(new=50, changed=0, removed=0)
    assert decided(changes, trained_already=7, is_judged=True) is Action.NOTHING
    assert decided(changes, trained_already=7, is_judged=False) is Action.JUDGE


def test_offsets_are_shown_side_by_side_with_gaps_where_a_partition_is_gone_new_or_empty() -> None:
    assert offsets_of(CHAMPION, {0: (0, 120), 2: (0, 3), 3: (0, 0)}) == [
        (0, 99, 119),
        (1, 49, None),
        (2, None, 2),
        (3, None, None),
    ]


def test_row_digests_tell_new_changed_and_removed_products_in_any_order_of_rows() -> None:
    before = made_products(60)
    rows = before.to_pylist()
    rows[3]["category_path"] = ["Garden", "mower"]
    rows[4]["title"] += " again"
    after = type(before).from_pylist([*reversed(rows[:50]), *made_products(65).to_pylist()[60:]], before.schema)

    assert changes_between(row_digests(before), row_digests(after)) == LabelChanges(new=5, changed=2, removed=10)
    assert changes_between(row_digests(before), row_digests(before.take([*range(59, -1, -1)]))) == NONE
    assert changes_between(row_digests(before.slice(0, 0)), row_digests(before)).new == 60
