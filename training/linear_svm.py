"""Linear support vector machines, one against the rest for each class, by dual coordinate descent.

The same problem that liblinear solves (squared hinge, L2, a regularised bias), but all classes are updated row by
row together. A row's weights then lie side by side for every class, one memory access serves all of them, and a
fit over the sample catalogue takes seconds where one class after the other takes a minute.

Hsieh et al., A Dual Coordinate Descent Method for Large-scale Linear SVM, ICML 2008.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearSvm:
    """Weights of one linear model a class.

    Attributes:
        weights: float32, shape (n_features, n_classes).
        bias: float32, shape (n_classes,).
        epochs: passes over the rows until no class violated its optimum by more than the tolerance.
    """

    weights: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    epochs: int

    def margins(self, rows: csr_matrix) -> npt.NDArray[np.float32]:
        """Return the margin of each row for each class, shape (n_rows, n_classes)."""
        margins: npt.NDArray[np.float32] = rows @ self.weights + self.bias
        return margins


def fit_linear_svm(
    rows: csr_matrix,
    targets: npt.NDArray[np.int32],
    *,
    n_classes: int,
    cost: float,
    seed: int,
    chosen: npt.NDArray[np.int64] | None = None,
    max_epochs: int = 60,
    tolerance: float = 0.1,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> LinearSvm:
    """Fit one machine a class to float32 rows of shape (n_rows, n_features), or to the `chosen` of them.

    `cost` weighs errors against large weights (liblinear's C). The fit ends when no projected gradient exceeds
    `tolerance`, or after `max_epochs`; `is_cancelled` is asked after each epoch, and raises CancelledError. One
    thread, without the GIL; the same input and seed give the same bits, on other processors too: fused or
    reordered additions would save a tenth of the time and lose that.
    """
    indptr = rows.indptr.astype(np.int64, copy=False)
    indices = rows.indices.astype(np.int32, copy=False)
    values = rows.data.astype(np.float32, copy=False)
    targets = targets.astype(np.int32, copy=False)
    chosen = np.arange(len(targets)) if chosen is None else chosen
    weights = np.zeros((rows.shape[1], n_classes), np.float32)
    bias = np.zeros(n_classes, np.float32)
    dual = np.zeros((len(chosen), n_classes), np.float32)
    ridge = np.float32(0.5) / np.float32(cost)
    curvature = _curvature(indptr, values, chosen, ridge)
    random = np.random.RandomState(seed)  # its numbers are the same in every version of numpy
    order = np.arange(len(chosen))
    epochs = 0
    while epochs < max_epochs:
        random.shuffle(order)
        worst = _sweep(indptr, indices, values, targets, chosen, order, curvature, ridge, dual, weights, bias)
        epochs += 1
        if worst <= tolerance:
            break
        if is_cancelled():
            raise CancelledError
    return LinearSvm(weights=weights, bias=bias, epochs=epochs)


@numba.njit(cache=True, nogil=True)
def _curvature(indptr, values, chosen, ridge):  # type: ignore[no-untyped-def]  # compiled: numba infers the types
    curvature = np.empty(len(chosen), np.float32)
    for place in range(len(chosen)):
        square = np.float32(1.0)  # of the bias
        for at in range(indptr[chosen[place]], indptr[chosen[place] + 1]):
            square += values[at] * values[at]
        curvature[place] = np.float32(1.0) / (square + ridge)
    return curvature


@numba.njit(cache=True, nogil=True)
def _sweep(  # type: ignore[no-untyped-def]  # as above
    indptr, indices, values, targets, chosen, order, curvature, ridge, dual, weights, bias
):
    """Pass over the chosen rows once, in the order given; return the largest violation of an optimum met."""
    n_classes = len(bias)
    margin = np.empty(n_classes, np.float32)
    change = np.empty(n_classes, np.float32)
    worst = np.float32(0.0)
    for place in order:
        row = chosen[place]
        margin[:] = bias
        for at in range(indptr[row], indptr[row + 1]):
            value = values[at]
            feature = indices[at]
            for k in range(n_classes):
                margin[k] += value * weights[feature, k]
        changed = False
        for k in range(n_classes):
            sign = np.float32(1.0) if targets[row] == k else np.float32(-1.0)
            old = dual[place, k]
            gradient = sign * margin[k] - np.float32(1.0) + old * ridge
            if old == np.float32(0.0) and gradient >= np.float32(0.0):
                change[k] = np.float32(0.0)
                continue
            worst = max(worst, abs(gradient))
            new = max(old - gradient * curvature[place], np.float32(0.0))
            dual[place, k] = new
            change[k] = (new - old) * sign
            changed = changed or new != old
        if not changed:
            continue
        for k in range(n_classes):
            bias[k] += change[k]
        for at in range(indptr[row], indptr[row + 1]):
            value = values[at]
            feature = indices[at]
            for k in range(n_classes):
                weights[feature, k] += value * change[k]
    return worst
