"""The one way from products to model inputs, for training, the stream and HTTP alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.dense import dense_features, dense_fields
from features.ngrams import TokenCounts, count_ngrams
from features.normal_form import normal_forms
from features.spec import FeatureSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureMatrix:
    """Model inputs of some products, one row each.

    Attributes:
        dense: float32, C order, (n_rows, spec.dense_width); NaN where a value is missing.
        tokens: the hashed n-grams.
    """

    dense: npt.NDArray[np.float32]
    tokens: TokenCounts


def vectorize(products: pa.RecordBatch, spec: FeatureSpec) -> FeatureMatrix:
    """Turn products into model inputs, one row each, in the order given.

    Pure: the same products give the same bytes, whatever else is in the batch; the products are only read. Runs
    without the interpreter lock for most of its time. Text must be valid UTF-8, as decoding checked.

    Raises SetupError if the batch lacks a column that the spec needs, or the column has another type.

    >>> from features.spec import FeatureSpec, TextBlock
    >>> spec = FeatureSpec(
    ...     profile="text",
    ...     blocks=(TextBlock(field="title", kind="word", shortest=1, longest=1),),
    ...     dense=("title_words", "has_new"),
    ... )
    >>> products = pa.record_batch({"title": ["New car, old car", "Car"]})
    >>> matrix = vectorize(products, spec)
    >>> matrix.dense.tolist()
    [[4.0, 1.0], [1.0, 0.0]]
    >>> matrix.tokens.indptr.tolist(), matrix.tokens.counts.tolist()
    ([0, 3, 4], [1.0, 2.0, 1.0, 1.0])
    """
    fields = tuple(dict.fromkeys((*dense_fields(spec), *(block.field for block in spec.blocks))))
    forms = normal_forms(products, fields)
    return FeatureMatrix(
        dense=dense_features(products, forms, fields, spec),
        tokens=count_ngrams(forms, fields, products.num_rows, spec),
    )
