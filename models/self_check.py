"""Some products and the probabilities they got when a bundle was made: proof that loading gives the same model."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.matrix import vectorize
from models.classifier import Classifier
from schemas import columns
from schemas.errors import BundleError, SetupError

TOLERANCE: Final = 1e-6
"""Largest difference of a probability. On one machine there is none. Between machines `log` and `exp` differ by an
ulp, which float32 scores of some tens carry into the probabilities as up to 1e-6; a wrong array, a moved class or
another tokenisation shows in the first digits."""


def expected_probabilities(
    classifier: Classifier, products: pa.RecordBatch
) -> tuple[pa.RecordBatch, npt.NDArray[np.float64]]:
    """Return the products in the form that is stored, and their probabilities.

    Raises SetupError if there is no product, a column of `columns.PRODUCT` is missing, or a probability is not
    finite.
    """
    if missing := [name for name in columns.PRODUCT.names if name not in products.schema.names]:
        raise SetupError(f"The self-check products lack the column {missing[0]}.")
    if not products.num_rows:
        raise SetupError("A bundle needs at least one self-check product.")
    # Built anew from plain values: slices and spare bytes of the given batch would change the file.
    stored = pa.RecordBatch.from_pylist(products.select(columns.PRODUCT.names).to_pylist(), columns.PRODUCT)
    probabilities = classifier.probabilities(vectorize(stored, classifier.spec))
    if not np.isfinite(probabilities).all():
        raise SetupError("A self-check product gets a probability that is not a number: the model is broken.")
    return stored, probabilities


def products_to_bytes(products: pa.RecordBatch) -> bytes:
    """Return the products as an Arrow IPC file: equal products give equal bytes."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, products.schema) as writer:
        writer.write_batch(products)
    return bytes(sink.getvalue())


def check_products(
    classifier: Classifier, content: bytes, probabilities: npt.NDArray[np.generic], file: str
) -> None:
    """Raise BundleError unless the stored products get the stored probabilities again."""
    try:
        with pa.ipc.open_file(pa.BufferReader(content)) as reader:
            table = reader.read_all()
        table.validate(full=True)
    except pa.ArrowInvalid as error:
        raise BundleError(f"{file} is not an Arrow file ({error}): fetch the bundle again.") from error
    if table.schema != columns.PRODUCT or not table.num_rows:
        raise BundleError(f"{file} does not hold products as this program knows them: train anew.")
    products = table.combine_chunks().to_batches()[0]
    found = classifier.probabilities(vectorize(products, classifier.spec))
    if found.shape != probabilities.shape:
        raise BundleError(f"{file} has {len(found)} products for {len(probabilities)} probabilities: train anew.")
    difference = float(np.abs(found - probabilities.astype(np.float64)).max())
    if not difference <= TOLERANCE:
        raise BundleError(
            f"the products in {file} get other probabilities than when the bundle was made (off by "
            f"{difference:.2g}): train anew with the library versions of this machine."
        )
