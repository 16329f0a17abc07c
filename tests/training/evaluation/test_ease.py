"""EASE^R on both sides of the inverse."""

import numpy as np
import pytest
from scipy import sparse

from training.evaluation.ease import fit_ease, too_large


def interactions(users: int, items: int, seed: int) -> sparse.csr_matrix:
    dense = np.random.default_rng(seed).random((users, items + 1)) < 0.3
    dense[:, 0] = False
    return sparse.csr_matrix(dense.astype(np.float32))


def by_the_book(x: np.ndarray, histories: np.ndarray, regularisation: float) -> np.ndarray:
    inverse = np.linalg.inv(x.T @ x + regularisation * np.eye(x.shape[1]))
    weights = np.eye(x.shape[1]) - inverse / np.diag(inverse)
    return histories @ weights


@pytest.mark.parametrize(("users", "items"), [(40, 12), (12, 40)])
def test_scores_equal_the_closed_form_whichever_side_is_inverted(users: int, items: int) -> None:
    x = interactions(users, items, seed=1)
    histories = interactions(5, items, seed=2)
    scored = fit_ease(x, regularisation=3.0).scores(histories)
    expected = by_the_book(x.toarray()[:, 1:], histories.toarray()[:, 1:], 3.0)
    np.testing.assert_allclose(scored[:, 1:], expected, atol=2e-5)
    assert np.isneginf(scored[:, 0]).all()


def test_a_set_too_large_on_both_sides_says_why() -> None:
    assert too_large(1_000_000, 3000) is None
    assert too_large(300, 1_000_000) is None
    reason = too_large(22_363, 12_101)
    assert reason is not None
    assert "12101 items" in reason
