"""Boosted trees: by bit vectors if they give LightGBM's scores bit for bit, otherwise by LightGBM itself.

The order in which leaf values are added is fixed, and the same for both: iterations are taken in chunks of at
most `TREES_PER_SUM` trees, each chunk is summed from 0 as LightGBM's `predict(raw_score=True)` does, and the
chunks' sums are added one after the other. So up to that many trees give the very scores of one `predict` over all
of them; more differ from it in the last bits of a double.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt

from models.bit_vector_compiler import UncompilableTreesError, compile_trees
from models.bit_vectors import BitVectors
from models.lightgbm_scorer import LightGBMScorer
from models.tree_probes import probe_rows
from models.tree_text import TreeHeader, read_header, read_trees
from schemas.errors import SetupError

if TYPE_CHECKING:
    import lightgbm

TREES_PER_SUM: Final = 200
"""LightGBM goes through all trees row by row. Some hundred trees stay in the processor's cache while all rows of a
batch pass through them; with thousands at once every row fetches them anew."""

_PARAMETERS: Final = re.compile(r"\nparameters:\n.*?\nend of parameters\n", re.DOTALL)

_DIFFERS: Final = "the bit vectors give other scores than LightGBM"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CompiledTrees:
    """Bit vectors with the proof that they score as LightGBM does.

    Attributes:
        bit_vectors: the trees.
        rows: float32 (n_rows, n_features), chosen to meet every kind of test.
        raw_scores: float64 (n_rows, n_classes), what LightGBM gave these rows.
    """

    bit_vectors: BitVectors
    rows: npt.NDArray[np.float32]
    raw_scores: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trees:
    """A LightGBM model in its text format, or no trees at all.

    Without `compiled`, the text is compiled and checked against LightGBM, which is imported for it. With it, the
    compiled trees have to give their stored scores again, and LightGBM is not imported if they do.

    Attributes:
        model_text: LightGBM's text format; an empty string means no trees.
        n_classes: scores a row. Trees need at least two classes.
        compiled: what `compile` gave for this very text.
        fallback_reason: why LightGBM scores; None if bit vectors do.

    Raises SetupError if the text cannot be read, or it or `compiled` has another number of classes.
    """

    model_text: str
    n_classes: int
    compiled: CompiledTrees | None = field(default=None, repr=False, compare=False)
    fallback_reason: str | None = field(init=False, repr=False, compare=False)
    _header: TreeHeader | None = field(init=False, repr=False, compare=False)
    _bit_vectors: BitVectors | None = field(init=False, repr=False, compare=False)
    _lightgbm: LightGBMScorer | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        header = read_header(self.model_text) if self.model_text else None
        if header is not None and header.n_classes != self.n_classes:
            raise SetupError(f"The trees score {header.n_classes} classes and the model has {self.n_classes}.")
        object.__setattr__(self, "_header", header)
        bit_vectors, reason = None, None
        if header is not None and header.n_trees:
            bit_vectors, reason = self._compiled(header) if self.compiled is None else self._stored(self.compiled)
        object.__setattr__(self, "_bit_vectors", bit_vectors)
        object.__setattr__(self, "fallback_reason", reason)
        object.__setattr__(self, "_lightgbm", None if reason is None else self._by_lightgbm())

    @classmethod
    def from_booster(cls, booster: lightgbm.Booster, *, n_classes: int, n_iterations: int | None = None) -> Trees:
        """Keep the first iterations of a fitted booster (all by default); 0 iterations are no trees.

        The training parameters are left out of the text: thread counts and paths are in it, and two fits that give
        the same trees must give the same bytes.
        """
        if n_iterations == 0:
            return cls(model_text="", n_classes=n_classes)
        text = booster.model_to_string(num_iteration=n_iterations)
        return cls(model_text=_PARAMETERS.sub("\n", text), n_classes=n_classes)

    @property
    def scorer(self) -> Literal["bit-vectors", "lightgbm", "none"]:
        """What scores: `lightgbm` has a `fallback_reason`; `none` means that there are no trees."""
        if self._bit_vectors is not None:
            return "bit-vectors"
        return "none" if self._lightgbm is None else "lightgbm"

    @property
    def n_trees(self) -> int:
        """Number of trees: iterations times classes."""
        return 0 if self._header is None else self._header.n_trees

    @property
    def n_features(self) -> int | None:
        """Width of the dense part that the trees were fitted on; None without trees."""
        return None if self._header is None or not self.n_trees else self._header.n_features

    def raw_scores(self, dense: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
        """Return the sum of the trees' leaf values, float64 (n, n_classes); NaN in `dense` is missing.

        One thread: the caller decides what runs beside it. Safe to call from several threads at once. A row's
        scores do not depend, in any bit, on the rows around it, nor on which scorer is at work.
        """
        if self._bit_vectors is not None:
            return self._bit_vectors.raw_scores(dense, iterations_per_sum=self._iterations_per_sum)
        if self._lightgbm is not None:
            return self._lightgbm.raw_scores(dense)
        return np.zeros((len(dense), self.n_classes), np.float64)

    def compile(self, also: npt.NDArray[np.float32]) -> CompiledTrees | None:
        """Return the compiled trees with LightGBM's own scores of probes and of the rows `also`, to be stored.

        None if LightGBM scores these trees anyway, or there are none. Imports LightGBM. Raises SetupError if the
        two differ: then there is a kind of row that this program scores wrongly.
        """
        if self._bit_vectors is None:
            return None
        rows = np.concatenate([probe_rows(self._bit_vectors), also])
        expected = self._by_lightgbm().raw_scores(rows)
        if not np.array_equal(self.raw_scores(rows), expected):
            raise SetupError(f"The trees cannot be saved: {_DIFFERS}.")
        return CompiledTrees(bit_vectors=self._bit_vectors, rows=rows, raw_scores=expected)

    @property
    def _iterations_per_sum(self) -> int:
        return max(1, TREES_PER_SUM // self.n_classes)

    def _by_lightgbm(self) -> LightGBMScorer:
        return LightGBMScorer.from_text(self.model_text, iterations_per_sum=self._iterations_per_sum)

    def _compiled(self, header: TreeHeader) -> tuple[BitVectors | None, str | None]:
        """Compile the text and let LightGBM judge; return the bit vectors, or why there are none."""
        try:
            found = compile_trees(header, read_trees(self.model_text))
        except UncompilableTreesError as error:
            return None, str(error)
        rows = probe_rows(found)
        scores = found.raw_scores(rows, iterations_per_sum=self._iterations_per_sum)
        return (found, None) if np.array_equal(scores, self._by_lightgbm().raw_scores(rows)) else (None, _DIFFERS)

    def _stored(self, compiled: CompiledTrees) -> tuple[BitVectors | None, str | None]:
        found = compiled.bit_vectors
        if (found.n_classes, found.n_trees) != (
            self.n_classes,
            self.n_trees,
        ) or found.n_features != self.n_features:
            raise SetupError("The compiled trees are not those of the text.")
        scores = found.raw_scores(compiled.rows, iterations_per_sum=self._iterations_per_sum)
        if not np.array_equal(scores, compiled.raw_scores):
            return None, "the stored rows get other scores than LightGBM gave them"
        return found, None
