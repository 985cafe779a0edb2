"""What of a product a model has not seen, against plain sets of n-grams and brands."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from safetensors.numpy import load_file, save_file

from features.matrix import vectorize
from features.spec import Profile, text_spec
from models.bundle import load_bundle
from models.classifier import Classifier
from models.familiarity import Familiarity, Unseen, fit_familiarity
from models.seen_hashes import SeenHashes
from schemas import columns
from schemas.errors import SetupError
from tests.tiny_model import fit_tiny_classifier, tiny_products
from tests.unit.features import oracle
from tests.unit.models.bundle_changes import refusal, reseal, save

SPEC = text_spec(())
NEW = ("unseen_brand", "unseen_seller", "unfamiliar_text")


def products_of(rows: Sequence[Mapping[str, object]]) -> pa.RecordBatch:
    named = [{"product_id": str(n), "title": "kettle", **row} for n, row in enumerate(rows)]
    return pa.RecordBatch.from_pylist(named, columns.PRODUCT)


def unseen(rows: Sequence[Mapping[str, object]], *, after: Sequence[Mapping[str, object]]) -> Unseen:
    known = fit_familiarity(vectorize(products_of(after), SPEC))
    return known.unseen(vectorize(products_of(rows), SPEC))


def new_of(classifier: Classifier, products: pa.RecordBatch) -> list[dict[str, object]]:
    return classifier.classify(products).select(NEW).to_pylist()


def ngrams_of(product: Mapping[str, object]) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for block in SPEC.blocks:
        ngrams = oracle.word_ngrams if block.kind == "word" else oracle.char_ngrams
        words = oracle.words_of(str(product[block.field] or ""))
        found |= {(block.name, ngram) for ngram in ngrams(words, block.shortest, block.longest)}
    return found


def test_a_brand_and_a_seller_are_seen_however_they_are_written() -> None:
    after = [{"brand": "G.Skill", "seller_id": "Shop-1"}, {"brand": "東風", "seller_id": "متجر"}]
    rows = [
        {"brand": "g skill", "seller_id": "SHOP 1"},
        {"brand": "東風", "seller_id": "متجر"},
        {"brand": "gskill", "seller_id": "shop"},
        {"brand": "東", "seller_id": "مت"},
        {"brand": "shop 1", "seller_id": "g skill"},
    ]
    found = unseen(rows, after=after)
    assert found.brand.tolist() == found.seller.tolist() == [False, False, True, True, True]


@pytest.mark.parametrize("absent", [None, "", "--"])
def test_what_is_absent_is_not_unseen(absent: str | None) -> None:
    trained_on: list[Mapping[str, object]] = [{"brand": "acme", "seller_id": "a"}, {}]
    for one in trained_on:
        found = unseen([{"brand": absent, "seller_id": absent}], after=[one])
        assert (found.brand.tolist(), found.seller.tolist()) == ([False], [False])


def test_where_training_had_no_brands_every_brand_is_unseen() -> None:
    assert unseen([{"brand": "acme"}], after=[{}]).brand.tolist() == [True]


def test_nothing_that_was_trained_on_is_unseen(classifier: Classifier, profile: Profile) -> None:
    share = 0.0 if profile == "text" else None
    expected = {"unseen_brand": False, "unseen_seller": False, "unfamiliar_text": share}
    assert all(row == expected for row in new_of(classifier, tiny_products()))


def test_the_unfamiliar_share_is_that_of_the_ngrams_that_no_product_had() -> None:
    after = tiny_products().select(columns.PRODUCT.names)
    rows = [
        {"title": "stovetop kettle", "brand": "Acme", "description": "kettle in white"},
        {"title": "stovetop kettlé", "brand": "Zenith"},
        {"title": "Wasserkocher aus Edelstahl", "seller_id": "seller-1", "subcategory": "kettles"},
        {"title": "電気ケトル", "description": "กาต้มน้ำไฟฟ้า"},
        {"title": "!?"},
    ]
    products = products_of(rows)
    found = fit_familiarity(vectorize(after, SPEC)).unseen(vectorize(products, SPEC)).text
    assert found is not None
    known: set[tuple[str, str]] = set().union(*map(ngrams_of, after.to_pylist()))
    for share, product in zip(found.tolist(), products.to_pylist(), strict=True):
        ngrams = ngrams_of(product)
        exact = len(ngrams - known) / max(1, len(ngrams))
        assert exact - 0.05 <= share <= exact  # what is new is taken for seen now and then, never the reverse
    assert found[0] == found[4] == 0
    assert found[3] > 0.95


def test_no_seen_hash_is_called_unseen_and_few_unseen_ones_are_called_seen() -> None:
    hashes = np.random.default_rng(3).permutation(2**20).astype(np.uint32) * np.uint32(2654435761)
    added, others = hashes[:200_000], hashes[200_000:]
    seen = SeenHashes.of(added)
    assert seen.contains(added).all()
    assert seen.contains(others).mean() < 0.006
    assert seen.words.nbytes == 2 * len(added)


def test_the_filter_does_not_depend_on_order_or_repetition() -> None:
    hashes = np.random.default_rng(4).integers(0, 2**32, 1000, dtype=np.uint32)
    turned = np.concatenate([hashes[::-1], hashes[:10]])
    assert np.array_equal(SeenHashes.of(hashes).words, SeenHashes.of(turned).words)


def test_an_empty_filter_has_seen_nothing() -> None:
    seen = SeenHashes.of(np.zeros(0, np.uint32))
    assert not seen.contains(np.arange(1000, dtype=np.uint32)).any()


def test_a_batch_is_its_rows_alone(classifier: Classifier, products: pa.RecordBatch) -> None:
    strange = products_of([{"brand": "neu", "title": "Schöne neue Welt"}, {"seller_id": "nobody"}, {}])
    mixed = (
        pa.Table.from_batches([products.select(columns.PRODUCT.names), strange]).combine_chunks().to_batches()[0]
    )
    together = new_of(classifier, mixed)
    assert [new_of(classifier, mixed.slice(row, 1))[0] for row in range(mixed.num_rows)] == together
    assert {row["unseen_brand"] for row in together} == {True, False}


def test_a_model_that_does_not_know_its_training_says_nothing(products: pa.RecordBatch) -> None:
    silent = dataclasses.replace(fit_tiny_classifier(), familiarity=None)
    assert all(set(row.values()) == {None} for row in new_of(silent, products))


def test_the_classic_profile_says_nothing_of_the_text() -> None:
    rows = new_of(fit_tiny_classifier("classic"), products_of([{"brand": "neu"}, {"brand": "Acme"}]))
    assert [list(row.values()) for row in rows] == [[True, False, None], [False, False, None]]


def test_a_loaded_model_knows_the_same(bundle: Path, classifier: Classifier) -> None:
    strange = products_of([{"brand": "neu", "title": "Schöne neue Welt"}, {"brand": "Acme"}])
    assert new_of(load_bundle(bundle), strange) == new_of(classifier, strange)


def test_a_bundle_without_what_was_seen_loads(tmp_path: Path) -> None:
    save(dataclasses.replace(fit_tiny_classifier(), familiarity=None), tmp_path / "b")
    assert load_bundle(tmp_path / "b").familiarity is None


@pytest.mark.parametrize("name", ["seen.brands", "seen.sellers", "seen.ngrams"])
def test_other_hashes_than_were_saved_are_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "b"
    save(fit_tiny_classifier(), folder)
    arrays = load_file(folder / "arrays.safetensors")
    for change in (
        arrays[name][:-1],
        arrays[name].astype(np.int64),
        arrays[name] + np.ones(1, arrays[name].dtype),
    ):
        save_file({**arrays, name: np.ascontiguousarray(change)}, folder / "arrays.safetensors")
        assert "arrays.safetensors" in refusal(folder)
        reseal(folder, lambda manifest: manifest)
        assert any(reason in refusal(folder) for reason in ("says version", "must be"))
    save_file({key: array for key, array in arrays.items() if key != name}, folder / "arrays.safetensors")
    reseal(folder, lambda manifest: manifest)
    assert "seen." in refusal(folder)


@pytest.mark.parametrize(
    "brands", [np.array([2, 1], np.uint32), np.array([1, 1], np.uint32), np.array([1], np.int64)]
)
def test_hashes_that_do_not_ascend_are_refused(brands: npt.NDArray[np.uint32]) -> None:
    with pytest.raises(SetupError, match="brands"):
        Familiarity(brands=brands, sellers=np.zeros(0, np.uint32), ngrams=None)


@pytest.mark.parametrize("words", [np.zeros(0, np.uint64), np.zeros(3, np.int64), np.zeros((2, 2), np.uint64)])
def test_a_filter_of_another_kind_is_refused(words: npt.NDArray[np.uint64]) -> None:
    with pytest.raises(SetupError, match="filter"):
        SeenHashes(words=words)


def test_a_model_and_what_it_has_seen_must_be_of_one_profile() -> None:
    classic, text = fit_tiny_classifier("classic"), fit_tiny_classifier()
    with pytest.raises(SetupError, match="n-grams that were seen"):
        dataclasses.replace(text, familiarity=classic.familiarity)
