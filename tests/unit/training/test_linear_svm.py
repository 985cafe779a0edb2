from __future__ import annotations

from concurrent.futures import CancelledError

import numpy as np
import pytest
from scipy.sparse import csr_matrix, random_array
from sklearn.svm import LinearSVC

from training.linear_svm import fit_linear_svm


def problem(n_classes: int) -> tuple[csr_matrix, np.ndarray[tuple[int], np.dtype[np.int32]]]:
    random = np.random.default_rng(5)
    rows = csr_matrix(random_array((300, 80), density=0.1, rng=random, dtype=np.float32))
    truth = random.normal(size=(80, n_classes))
    noise = random.normal(size=(300, n_classes))
    return rows, (rows @ truth + 0.3 * noise).argmax(axis=1).astype(np.int32)


@pytest.mark.parametrize("n_classes", [2, 5])
@pytest.mark.parametrize("cost", [0.3, 2.0])
def test_margins_are_those_of_liblinear(n_classes: int, cost: float) -> None:
    rows, targets = problem(n_classes)
    ours = fit_linear_svm(
        rows, targets, n_classes=n_classes, cost=cost, seed=1, max_epochs=2000, tolerance=1e-4
    ).margins(rows)

    for k in range(n_classes):
        theirs = LinearSVC(C=cost, tol=1e-6, max_iter=20_000).fit(rows, targets == k).decision_function(rows)
        np.testing.assert_allclose(ours[:, k], theirs, atol=2e-3)


def test_the_same_seed_gives_the_same_bits() -> None:
    rows, targets = problem(3)
    first, again = (fit_linear_svm(rows, targets, n_classes=3, cost=1.0, seed=9) for _ in range(2))

    assert first.weights.tobytes() == again.weights.tobytes()
    assert first.bias.tobytes() == again.bias.tobytes()


def test_a_class_without_rows_is_never_the_best() -> None:
    rows, targets = problem(3)
    machines = fit_linear_svm(rows, targets, n_classes=4, cost=1.0, seed=0)

    assert (machines.margins(rows).argmax(axis=1) != 3).all()


def test_fitting_ends_at_the_limit_of_epochs() -> None:
    rows, targets = problem(3)

    assert fit_linear_svm(rows, targets, n_classes=3, cost=1.0, seed=0, max_epochs=3, tolerance=0.0).epochs == 3


def test_chosen_rows_are_fitted_as_if_there_were_no_others() -> None:
    rows, targets = problem(3)
    chosen = np.flatnonzero(np.arange(300) % 3)
    some = fit_linear_svm(rows, targets, n_classes=3, cost=1.0, seed=2, chosen=chosen)
    alone = fit_linear_svm(rows[chosen], targets[chosen], n_classes=3, cost=1.0, seed=2)

    assert some.weights.tobytes() == alone.weights.tobytes()
    assert some.bias.tobytes() == alone.bias.tobytes()


def test_a_cancelled_fit_ends_after_the_epoch_that_runs() -> None:
    rows, targets = problem(3)
    asked: list[bool] = []

    def is_cancelled() -> bool:
        asked.append(len(asked) == 1)
        return asked[-1]

    with pytest.raises(CancelledError):
        fit_linear_svm(rows, targets, n_classes=3, cost=1.0, seed=0, tolerance=0.0, is_cancelled=is_cancelled)
    assert asked == [False, True]
