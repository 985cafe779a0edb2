"""The one way from products to model inputs, for training, the stream and HTTP alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.dense import dense_features, dense_fields
from features.identities import identities
from features.ngrams import TokenCounts, count_ngrams
from features.normal_form import normal_forms
from features.spec import FeatureSpec
from schemas import stages
from schemas.stages import StageClock

#: Larger batches, as training has them, are taken in pieces: scratch memory is some ten times their text.
_PIECE_ROWS: Final = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureMatrix:
    """Model inputs of some products, one row each.

    Attributes:
        dense: float32, C order, (n_rows, spec.dense_width); NaN where a value is missing.
        tokens: the hashed n-grams.
        identities: int64, (n_rows, 2): hashes of brand and seller, see `features.identities`.
    """

    dense: npt.NDArray[np.float32]
    tokens: TokenCounts
    identities: npt.NDArray[np.int64]


def vectorize(products: pa.RecordBatch, spec: FeatureSpec, clock: StageClock | None = None) -> FeatureMatrix:
    """Turn products into model inputs, one row each, in the order given.

    Pure: the same products give the same bytes, whatever else is in the batch; the products are only read. Runs
    without the interpreter lock for most of its time. Text must be valid UTF-8, as decoding checked. A clock that
    was started gets the laps DENSE and NGRAMS (normal forms are among these).

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
    starts = range(0, products.num_rows, _PIECE_ROWS)
    if len(starts) > 1:
        return joined([_vectorized(products.slice(start, _PIECE_ROWS), spec, clock) for start in starts])
    return _vectorized(products, spec, clock)


def _vectorized(products: pa.RecordBatch, spec: FeatureSpec, clock: StageClock | None) -> FeatureMatrix:
    fields = tuple(dict.fromkeys((*dense_fields(spec), *(block.field for block in spec.blocks))))
    forms = normal_forms(products, fields)
    if clock is not None:
        clock.lap(stages.NGRAMS)
    dense = dense_features(products, forms, fields, spec)
    who = identities(forms, fields, products.num_rows)
    if clock is not None:
        clock.lap(stages.DENSE)
    tokens = count_ngrams(forms, fields, products.num_rows, spec)
    if clock is not None:
        clock.lap(stages.NGRAMS)
    return FeatureMatrix(dense=dense, tokens=tokens, identities=who)


def joined(parts: Sequence[FeatureMatrix]) -> FeatureMatrix:
    """Return the rows of all parts, one part after the other, in arrays of their own. At least one part."""
    ends = np.cumsum([len(part.tokens.buckets) for part in parts])
    indptr = [parts[0].tokens.indptr]
    indptr += [part.tokens.indptr[1:] + end for part, end in zip(parts[1:], ends[:-1], strict=True)]
    return FeatureMatrix(
        dense=np.concatenate([part.dense for part in parts]),
        tokens=TokenCounts(
            indptr=np.concatenate(indptr),
            buckets=np.concatenate([part.tokens.buckets for part in parts]),
            hashes=np.concatenate([part.tokens.hashes for part in parts]),
            counts=np.concatenate([part.tokens.counts for part in parts]),
            n_blocks=parts[0].tokens.n_blocks,
        ),
        identities=np.concatenate([part.identities for part in parts]),
    )
