"""Caution is fitted on brands that were held out, and promises no more than so many brands can show."""

from __future__ import annotations

import doctest
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from features.identities import ABSENT
from features.spec import Profile
from models.bundle import load_bundle
from models.taxonomy import Taxonomy
from tests.unit.training.made_catalog import made_products
from training import unseen_brands
from training.fit import fit_bundle
from training.progress import SilentProgress
from training.unseen_brands import N_FOLDS, brand_folds, cautious_precision, fit_caution

TAXONOMY = Taxonomy((("a",), ("b",)))
PATHS = pa.array([["a"], ["b"]])


def test_all_products_of_a_brand_are_held_out_together_and_those_without_brand_never() -> None:
    brands = np.random.default_rng(0).integers(0, 50, 1000)
    brands[::7] = ABSENT
    folds = brand_folds(brands, seed=3)
    assert folds is not None
    assert {len(set(folds[brands == brand])) for brand in np.unique(brands)} == {1}
    assert set(folds[brands == ABSENT]) == {-1}
    assert set(folds.tolist()) == {-1, *range(N_FOLDS)}


@pytest.mark.parametrize("brands", [np.full(100, ABSENT), np.arange(100) % 19, np.zeros(0, np.int64)])
def test_a_few_brands_say_nothing_about_others(brands: np.ndarray) -> None:
    assert brand_folds(brands, seed=3) is None


def test_precision_is_less_certain_where_wrong_products_are_of_one_brand() -> None:
    is_true = np.ones(1000, np.bool_)
    is_true[:50] = False
    one_brand = cautious_precision(is_true, np.arange(1000) // 50)
    spread = cautious_precision(is_true, np.arange(1000) % 20)
    assert one_brand < spread <= 0.95
    assert one_brand < 0.9


def scored(n_brands: int, *, of_which_hopeless: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scores, true classes and brands: some brands are guessed at, unsure and half right."""
    random = np.random.default_rng(5)
    brands = np.repeat(np.arange(n_brands), 40)
    targets = random.integers(0, 2, len(brands)).astype(np.int32)
    hopeless = brands < of_which_hopeless
    says = np.where(hopeless & (random.random(len(brands)) < 0.5), 1 - targets, targets)
    scores = np.zeros((len(brands), 2))
    scores[np.arange(len(brands)), says] = np.where(hopeless, 0.5, 6.0)
    return scores, targets, brands


def test_the_threshold_passes_over_what_is_guessed() -> None:
    scores, targets, brands = scored(60, of_which_hopeless=30)
    truth = PATHS.take(pa.array(targets))
    found = fit_caution(scores, targets, truth, brands, TAXONOMY, target_precision=0.95, least=0.5)
    assert 0.5 < found.threshold < 1
    higher = fit_caution(scores, targets, truth, brands, TAXONOMY, target_precision=0.95, least=0.9)
    assert higher.threshold >= 0.9


def test_where_nothing_can_be_promised_nothing_is_published() -> None:
    scores, targets, brands = scored(60, of_which_hopeless=60)
    truth = PATHS.take(pa.array(targets))
    found = fit_caution(scores, targets, truth, brands, TAXONOMY, target_precision=0.95, least=0.5)
    assert found.threshold == 1


@pytest.mark.parametrize("profile", ["text", "classic"])
def test_a_model_of_many_brands_learns_caution_and_one_of_few_does_not(profile: Profile, tmp_path: Path) -> None:
    few = made_products(400)
    many = few.set_column(
        few.column_names.index("brand"),
        few.schema.field("brand"),
        pa.array([f"brand {row % 40}" for row in range(400)]),
    )
    for name, products in (("few", few), ("many", many)):
        fit_bundle(
            products,
            profile=profile,
            seed=3,
            to=tmp_path / name,
            lineage={},
            progress=SilentProgress(),
            min_products=10,
            target_precision=0.8,
        )
    learned = load_bundle(tmp_path / "many")
    assert learned.caution is not None
    assert learned.caution.threshold >= 0.5
    assert load_bundle(tmp_path / "few").caution is None


def test_the_example_in_the_docstring_holds() -> None:
    result = doctest.testmod(unseen_brands)
    assert (result.attempted > 0, result.failed) == (True, 0)
