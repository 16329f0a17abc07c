"""The classical models against plain loops, and what they all keep."""

import numpy as np
import pytest
from scipy import sparse

from training.evaluation import factorisation
from training.evaluation.classical import CLASSICAL
from training.evaluation.neighbours import fit_item_knn, fit_user_knn

every_model = pytest.mark.parametrize("name", sorted(CLASSICAL))


def interactions(users: int, items: int, seed: int) -> np.ndarray:
    dense = (np.random.default_rng(seed).random((users, items + 1)) < 0.3).astype(np.float32)
    dense[:, 0] = 0.0
    return dense


def two_crowds() -> np.ndarray:
    """Even users had items 1 to 10, odd ones 11 to 20, each but three of them."""
    rng = np.random.default_rng(0)
    x = np.zeros((40, 21), np.float32)
    for user in range(40):
        own = np.arange(1, 11) + 10 * (user % 2)
        x[user, rng.permutation(own)[:7]] = 1.0
    return x


@every_model
def test_what_the_own_crowd_had_comes_before_what_others_had(name: str) -> None:
    x = two_crowds()
    scores = CLASSICAL[name].fit(sparse.csr_matrix(x)).scores(sparse.csr_matrix(x[:6]))
    assert scores.dtype == np.float32
    assert np.isneginf(scores[:, 0]).all()
    for user in range(6):
        own = np.arange(1, 11) + 10 * (user % 2)
        missing = own[x[user, own] == 0]
        others = np.setdiff1d(np.arange(1, 21), own)
        assert scores[user, missing].mean() > scores[user, others].max()


@every_model
def test_an_empty_history_and_an_item_of_nobody_are_no_trouble(name: str) -> None:
    x = two_crowds()
    x[:, 20] = 0.0
    scores = CLASSICAL[name].fit(sparse.csr_matrix(x)).scores(sparse.csr_matrix((2, 21), dtype=np.float32))
    assert np.isfinite(scores[:, 1:]).all()


@every_model
def test_equal_interactions_give_equal_scores(name: str) -> None:
    x = sparse.csr_matrix(interactions(30, 25, 1))
    first, second = CLASSICAL[name].fit(x).scores(x[:5]), CLASSICAL[name].fit(x).scores(x[:5])
    assert np.array_equal(first, second)


def test_items_are_alike_by_the_cosine_of_who_had_them() -> None:
    x, history = interactions(301, 8, 1), interactions(1, 8, 2)
    expected = np.zeros(9)
    for item in range(1, 9):
        likeness = {
            other: (x[:, item] @ x[:, other]) / (np.sqrt(x[:, item].sum() * x[:, other].sum()) + 10.0)
            for other in range(1, 9)
            if other != item
        }
        for other in sorted(likeness, key=lambda o: (-likeness[o], o))[:3]:
            expected[other] += history[0, item] * likeness[other]
    found = fit_item_knn(sparse.csr_matrix(x), neighbours=3).scores(sparse.csr_matrix(history))
    np.testing.assert_allclose(found[0, 1:], expected[1:], atol=1e-5)


def test_users_are_asked_by_how_much_they_share() -> None:
    x, history = interactions(40, 60, 3), interactions(1, 60, 4)
    likeness = [(u @ history[0]) / (np.sqrt(u.sum() * history.sum()) + 10.0) for u in x]
    nearest = sorted(range(40), key=lambda u: (-likeness[u], u))[:4]
    expected = sum(likeness[u] * x[u] for u in nearest)
    found = fit_user_knn(sparse.csr_matrix(x), neighbours=4).scores(sparse.csr_matrix(history))
    np.testing.assert_allclose(found[0, 1:], expected[1:], atol=1e-5)


def test_without_the_library_factorisation_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    assert factorisation.not_installed() is None
    monkeypatch.setattr(factorisation, "find_spec", lambda name: None)
    assert "pip install 'implicit" in str(CLASSICAL["als"].left_out(10, 10))
