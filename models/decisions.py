"""From probabilities to what is published: a leaf, an ancestor of it, or a question to a person.

The rule, for the probabilities of one product; each node has a threshold of its own:

1. The most probable leaf has a probability of at least its threshold: it is published, `accepted`.
2. Otherwise walk down from the root to a leaf, always to the most probable child. The deepest node on the way
   whose sum is at least its threshold is published, `backed_off`.
3. Otherwise, where no node passes: `review`, with the most probable leaf.

A product may have a floor: then every threshold below it is raised to it (models.caution).

With thresholds above 1/2, no two branches can pass, and this is the deepest node of all that passes. Below,
several can: the walk keeps to the likelier branch (and the leaf that it ends in is `accepted`, if it passes), and
the most probable leaf, if it passes by itself, is preferred to everything above it.

For a leaf that is also an ancestor, step 1 looks at its own probability and step 2 at its sum: it is `accepted` if
"this and nothing finer" is likely enough, and `backed_off` if only together with what lies below it.

Confidence is always the sum of the published node, the probability that the true category is that path or lies
below it; so it is at least the threshold of that node, unless the decision is `review`. Ties go to the lower index
of leaf or node.
"""

from __future__ import annotations

import functools
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from models.path_table import PathTable
from models.taxonomy import Taxonomy
from schemas import columns
from schemas.errors import SetupError

#: The decisions, in the order of their codes.
DECISIONS: Final = ("accepted", "backed_off", "review")
N_ALTERNATIVES: Final = 3


def decide(
    product_ids: pa.Array[Any],
    probabilities: npt.NDArray[np.float64],
    taxonomy: Taxonomy,
    thresholds: npt.NDArray[np.float64],
    floors: npt.NDArray[np.float64] | None = None,
) -> pa.RecordBatch:
    """Return a batch of `columns.VERDICT`, one row a product, in the order given.

    `probabilities` is float64 (n, n_leaves), `thresholds` float64 (n_nodes), infinite for a node that is never
    published; `floors` is float64 (n), or None for none. Alternatives are the three most probable leaves, fewer if
    the taxonomy has fewer, each with its own probability. Everything published as a confidence is clipped to 0..1:
    sums can end up an ulp above. Pure.
    """
    if probabilities.shape != (len(product_ids), taxonomy.n_leaves):
        raise SetupError(
            f"Probabilities of shape {probabilities.shape} do not fit {len(product_ids)} products and "
            f"{taxonomy.n_leaves} categories."
        )
    if thresholds.shape != (len(taxonomy.nodes),):
        raise SetupError(f"{thresholds.size} thresholds do not fit {len(taxonomy.nodes)} nodes of the taxonomy.")
    n_rows, n_best = len(product_ids), min(N_ALTERNATIVES, taxonomy.n_leaves)
    best = np.empty((n_rows, n_best), np.int64)
    best_probabilities = np.empty((n_rows, n_best), np.float64)
    _most_probable(probabilities, best, best_probabilities)
    nodes = np.empty(n_rows, np.int64)
    codes = np.empty(n_rows, np.int64)
    confidences = np.empty(n_rows, np.float64)
    _choose(
        probabilities,
        best,
        best_probabilities,
        taxonomy.leaf_node,
        taxonomy.leaf_start,
        taxonomy.leaf_stop,
        taxonomy.node_stop,
        thresholds,
        np.zeros(n_rows) if floors is None else floors,
        nodes,
        codes,
        confidences,
    )
    alternatives = pa.StructArray.from_arrays(
        [taxonomy.paths_of(best.ravel()), _doubles(best_probabilities)],
        fields=_alternative_fields(),
    )
    starts = np.arange(0, n_rows * n_best + 1, n_best, dtype=np.int32)
    return pa.RecordBatch.from_arrays(
        [
            product_ids,
            taxonomy.paths_of(nodes),
            _doubles(confidences),
            _decision_texts().take(codes).values,
            pa.Array.from_buffers(
                columns.VERDICT.field("alternatives").type,
                n_rows,
                [None, pa.py_buffer(starts.data)],
                0,
                children=[alternatives],
            ),
        ],
        schema=columns.VERDICT,
    )


@functools.cache
def _decision_texts() -> PathTable:
    return PathTable.of([(decision,) for decision in DECISIONS])


@functools.cache
def _alternative_fields() -> list[pa.Field[Any]]:
    return list(columns.VERDICT.field("alternatives").type.value_type)


def _doubles(values: npt.NDArray[np.float64]) -> pa.Array[Any]:
    """Return the values as they lie, without a look at each for what may be null."""
    return pa.Array.from_buffers(pa.float64(), values.size, [None, pa.py_buffer(values.data)], 0)


@njit(cache=True, nogil=True)
def _most_probable(
    probabilities: npt.NDArray[np.float64],
    best: npt.NDArray[np.int64],
    best_probabilities: npt.NDArray[np.float64],
) -> None:
    n_best = best.shape[1]
    for row in range(probabilities.shape[0]):
        n_kept = 0
        for leaf in range(probabilities.shape[1]):
            probability = probabilities[row, leaf]
            if n_kept == n_best and not probability > best_probabilities[row, n_best - 1]:
                continue
            at = n_kept if n_kept < n_best else n_best - 1
            # Strictly greater: of equals, the lower leaf stays ahead.
            while at > 0 and probability > best_probabilities[row, at - 1]:
                best[row, at] = best[row, at - 1]
                best_probabilities[row, at] = best_probabilities[row, at - 1]
                at -= 1
            best[row, at] = leaf
            best_probabilities[row, at] = probability
            n_kept = min(n_kept + 1, n_best)


@njit(cache=True, nogil=True)
def _sum(probabilities: npt.NDArray[np.float64], row: int, start: int, stop: int) -> float:
    """Add up in the order of the leaves, as `Taxonomy.node_probabilities` does: most sums are never asked for."""
    total = 0.0
    for leaf in range(start, stop):
        total += probabilities[row, leaf]
    return total


@njit(cache=True, nogil=True)
def _choose(
    probabilities: npt.NDArray[np.float64],
    best: npt.NDArray[np.int64],
    best_probabilities: npt.NDArray[np.float64],
    leaf_node: npt.NDArray[np.int64],
    leaf_start: npt.NDArray[np.int64],
    leaf_stop: npt.NDArray[np.int64],
    node_stop: npt.NDArray[np.int64],
    thresholds: npt.NDArray[np.float64],
    floors: npt.NDArray[np.float64],
    nodes: npt.NDArray[np.int64],
    codes: npt.NDArray[np.int64],
    confidences: npt.NDArray[np.float64],
) -> None:
    """Fill `nodes`, `codes` and `confidences`; clip `best_probabilities`, and turn `best` from leaves to nodes."""
    for row in range(probabilities.shape[0]):
        least = floors[row]
        leaf = leaf_node[best[row, 0]]
        chosen, code = leaf, 0
        confidence = _sum(probabilities, row, leaf_start[leaf], leaf_stop[leaf])
        if not best_probabilities[row, 0] >= max(thresholds[leaf], least):
            code = 2
            # The nodes of a level are siblings: from one to the next by node_stop, in preorder.
            node, stop = 0, node_stop.shape[0]
            while node < stop:
                likeliest = node
                highest = _sum(probabilities, row, leaf_start[node], leaf_stop[node])
                node = node_stop[node]
                while node < stop:
                    total = _sum(probabilities, row, leaf_start[node], leaf_stop[node])
                    if total > highest:
                        likeliest, highest = node, total
                    node = node_stop[node]
                node, stop = likeliest + 1, node_stop[likeliest]
                if highest >= max(thresholds[likeliest], least):
                    chosen, code, confidence = likeliest, 1 if node < stop else 0, highest
        nodes[row] = chosen
        codes[row] = code
        confidences[row] = min(1.0, max(0.0, confidence))
        for i in range(best.shape[1]):
            best_probabilities[row, i] = min(1.0, max(0.0, best_probabilities[row, i]))
            best[row, i] = leaf_node[best[row, i]]
