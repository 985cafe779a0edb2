"""From probabilities to what is published: a leaf, an ancestor of it, or a question to a person.

The rule, for the threshold t and the probabilities of one product:

1. The most probable leaf has probability >= t: it is published, `accepted`.
2. Otherwise walk down from the root, always to the most probable child, while its sum is >= t. The last node
   reached is published, `backed_off`.
3. Otherwise, where not even a root passes: `review`, with the most probable leaf.

Above t = 1/2 no two branches can pass, and this is the deepest node whose sum passes. Below, several can: the walk
keeps to the likelier branch, and a leaf that passes by itself is preferred to everything above it.

For a leaf that is also an ancestor, step 1 looks at its own probability and step 2 at its sum: it is `accepted` if
"this and nothing finer" is likely enough, and `backed_off` if only together with what lies below it.

Confidence is always the sum of the published node, the probability that the true category is that path or lies
below it; so it is >= t exactly if the decision is not `review`. Ties go to the lower index of leaf or node.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from models.taxonomy import Taxonomy
from schemas import columns
from schemas.errors import SetupError

#: The decisions, in the order of their codes.
DECISIONS: Final = ("accepted", "backed_off", "review")
N_ALTERNATIVES: Final = 3


def decide(
    product_ids: pa.Array[Any], probabilities: npt.NDArray[np.float64], taxonomy: Taxonomy, threshold: float
) -> pa.RecordBatch:
    """Return a batch of `columns.DECISION`, one row a product, in the order given.

    `probabilities` is float64 (n, n_leaves). Alternatives are the three most probable leaves, fewer if the
    taxonomy has fewer, each with its own probability. Everything published as a confidence is clipped to 0..1:
    sums can end up an ulp above. Pure.
    """
    if probabilities.shape != (len(product_ids), taxonomy.n_leaves):
        raise SetupError(
            f"Probabilities of shape {probabilities.shape} do not fit {len(product_ids)} products and "
            f"{taxonomy.n_leaves} categories."
        )
    n_rows, n_best = len(product_ids), min(N_ALTERNATIVES, taxonomy.n_leaves)
    best = np.empty((n_rows, n_best), np.int64)
    best_probabilities = np.empty((n_rows, n_best), np.float64)
    _most_probable(probabilities, best, best_probabilities)
    sums = taxonomy.node_probabilities(probabilities)
    nodes = np.empty(n_rows, np.int64)
    codes = np.empty(n_rows, np.int8)
    confidences = np.empty(n_rows, np.float64)
    _choose(
        sums,
        best,
        best_probabilities,
        taxonomy.leaf_node,
        taxonomy.node_stop,
        threshold,
        nodes,
        codes,
        confidences,
    )
    alternatives = pa.StructArray.from_arrays(
        [
            taxonomy.paths_of(taxonomy.leaf_node[best.ravel()]),
            pa.array(best_probabilities.ravel(), pa.float64()),
        ],
        fields=list(columns.DECISION.field("alternatives").type.value_type),
    )
    starts = np.arange(0, n_rows * n_best + 1, n_best, dtype=np.int32)
    return pa.RecordBatch.from_arrays(
        [
            product_ids,
            taxonomy.paths_of(nodes),
            pa.array(confidences, pa.float64()),
            pa.array(DECISIONS, pa.string()).take(codes),
            pa.ListArray.from_arrays(
                pa.array(starts, pa.int32()), alternatives, type=columns.DECISION.field("alternatives").type
            ),
        ],
        schema=columns.DECISION,
    )


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
def _choose(
    sums: npt.NDArray[np.float64],
    best: npt.NDArray[np.int64],
    best_probabilities: npt.NDArray[np.float64],
    leaf_node: npt.NDArray[np.int64],
    node_stop: npt.NDArray[np.int64],
    threshold: float,
    nodes: npt.NDArray[np.int64],
    codes: npt.NDArray[np.int8],
    confidences: npt.NDArray[np.float64],
) -> None:
    for row in range(sums.shape[0]):
        leaf = leaf_node[best[row, 0]]
        if best_probabilities[row, 0] >= threshold:
            chosen, code = leaf, 0
        else:
            chosen, code = leaf, 2
            # The nodes of a level are siblings: from one to the next by node_stop, in preorder.
            node, stop = 0, sums.shape[1]
            while node < stop:
                likeliest = node
                while node < stop:
                    if sums[row, node] > sums[row, likeliest]:
                        likeliest = node
                    node = node_stop[node]
                if not sums[row, likeliest] >= threshold:
                    break
                chosen, code = likeliest, 1
                node, stop = likeliest + 1, node_stop[likeliest]
        nodes[row] = chosen
        codes[row] = code
        confidences[row] = min(1.0, max(0.0, sums[row, chosen]))
        for i in range(best.shape[1]):
            best_probabilities[row, i] = min(1.0, max(0.0, best_probabilities[row, i]))
