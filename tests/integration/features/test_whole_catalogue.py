"""Needs no broker; here because the oracle takes its time."""

from __future__ import annotations

from pathlib import Path

import pytest

from features.matrix import vectorize
from features.prices import fit_price_edges
from features.spec import text_spec
from tests.unit.features import made_products

pytestmark = pytest.mark.integration


def test_every_row_of_the_sample_catalogue_equals_the_oracle_byte_for_byte(repository: Path) -> None:
    batch = made_products.catalogue(repository, slice(None))
    spec = text_spec(fit_price_edges(batch))

    made_products.assert_equal_to_the_oracle(vectorize(batch, spec), spec, batch.to_pylist())
