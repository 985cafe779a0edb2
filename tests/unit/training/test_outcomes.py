from __future__ import annotations

import numpy as np
import pyarrow as pa

from models.classifier import Classifier
from tests.tiny_model import fit_tiny_classifier, tiny_products
from training.evaluation import evaluate
from training.outcomes import classify_labelled


def classifier() -> Classifier:
    return fit_tiny_classifier()


def test_chosen_rows_have_the_outcomes_that_they_have_among_all() -> None:
    products = pa.Table.from_batches([tiny_products(20)])
    chosen = np.arange(products.num_rows) % 3 == 1

    part = classify_labelled(classifier(), products).where(chosen)
    alone = classify_labelled(classifier(), products.filter(pa.array(chosen)))

    assert len(part) == chosen.sum()
    assert evaluate(part).to_json() == evaluate(alone).to_json()
    assert part.decisions.equals(alone.decisions)


def test_the_rows_are_those_that_the_classifier_decides() -> None:
    products = tiny_products(20)
    outcomes = classify_labelled(classifier(), pa.Table.from_batches([products]))

    decided = classifier().classify(products).to_pylist()
    assert outcomes.is_published.tolist() == [row["decision"] != "review" for row in decided]
    leaves = [list(outcomes.taxonomy.leaves[leaf]) for leaf in outcomes.best]
    assert leaves == [row["alternatives"][0]["category_path"] for row in decided]
    assert outcomes.confidence.tolist() == [row["alternatives"][0]["confidence"] for row in decided]
