"""Boosted trees, scored by LightGBM itself.

This is the one module that touches LightGBM's untyped API. Trees are scored in chunks, each a booster of its own:
`predict(start_iteration=...)` would do the same with one booster, but LightGBM keeps the range in the booster, so
two threads that predict different ranges get wrong scores (seen within a second with four threads).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

import lightgbm
import numpy as np
import numpy.typing as npt

from schemas.errors import SetupError

TREES_PER_CALL: Final = 200
"""LightGBM goes through all trees row by row. Some hundred trees stay in the processor's cache while all rows of a
batch pass through them; with thousands at once every row fetches them anew."""

_PARAMETERS: Final = re.compile(r"\nparameters:\n.*?\nend of parameters\n", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trees:
    """A LightGBM model in its text format, or no trees at all.

    Attributes:
        model_text: LightGBM's text format; an empty string means no trees.
        n_classes: scores a row. Trees need at least two classes.

    Raises SetupError if LightGBM cannot read the text, or it has another number of classes.
    """

    model_text: str
    n_classes: int
    _chunks: tuple[lightgbm.Booster, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        booster = _read(self.model_text) if self.model_text else None
        if booster is not None and booster.num_model_per_iteration() != self.n_classes:
            raise SetupError(
                f"The trees score {booster.num_model_per_iteration()} classes and the model has {self.n_classes}."
            )
        object.__setattr__(self, "_chunks", () if booster is None else _split(booster))

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
    def n_trees(self) -> int:
        """Number of trees: iterations times classes."""
        return sum(int(chunk.num_trees()) for chunk in self._chunks)

    @property
    def n_features(self) -> int | None:
        """Width of the dense part that the trees were fitted on; None without trees."""
        return int(self._chunks[0].num_feature()) if self._chunks else None

    def raw_scores(self, dense: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return the sum of the trees' leaf values, float64 (n, n_classes); NaN in `dense` is missing.

        One thread: the caller decides what runs beside it. Safe to call from several threads at once.
        """
        scores = np.zeros((len(dense), self.n_classes), np.float64)
        if len(dense):
            for chunk in self._chunks:
                scores += chunk.predict(dense, raw_score=True, num_threads=1)
        return scores


def _split(booster: lightgbm.Booster) -> tuple[lightgbm.Booster, ...]:
    """Return boosters of at most `TREES_PER_CALL` trees (but whole iterations) that together are the one given."""
    step = max(1, TREES_PER_CALL // booster.num_model_per_iteration())
    iterations = booster.num_trees() // booster.num_model_per_iteration()
    if iterations <= step:
        return (booster,) if iterations else ()
    starts = range(0, iterations, step)
    return tuple(
        lightgbm.Booster(model_str=booster.model_to_string(start_iteration=start, num_iteration=step))
        for start in starts
    )


def _read(text: str) -> lightgbm.Booster:
    _check_extent(text.encode())
    try:
        return lightgbm.Booster(model_str=text)
    except (lightgbm.basic.LightGBMError, ValueError, KeyError, IndexError) as error:
        raise SetupError(f"LightGBM cannot read the trees: {error}.") from error


def _check_extent(text: bytes) -> None:
    """Refuse a text whose trees are not where its header says.

    LightGBM jumps to the places that `tree_sizes` names without looking where the text ends: given half a file it
    reads beyond it and aborts the process.
    """
    header, _, _ = text.partition(b"\n\n")
    found = re.search(rb"^tree_sizes=([\d ]*)$", header, re.MULTILINE)
    if found is None:
        raise SetupError("The trees are not in LightGBM's text format.")
    at = len(header) + 2
    for tree, size in enumerate(found[1].split()):
        if not text.startswith(b"Tree=%d\n" % tree, at):
            raise SetupError(f"The trees are damaged: tree {tree} is not at byte {at}, where the header puts it.")
        at += int(size)
    if not text.startswith(b"end of trees", at):
        raise SetupError(f"The trees are damaged: they do not end at byte {at}, where the header says.")
