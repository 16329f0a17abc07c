"""Vectors to start from."""

import numpy as np

from training.retrieval.co_visitation import count_co_visitation
from training.retrieval.sequences import Sequences
from training.retrieval.spectral import spectral_vectors


def start(users: list[list[int]], row_count: int, dim: int) -> np.ndarray:
    rows = np.array([row for user in users for row in user], np.int64)
    indptr = np.concatenate([[0], np.cumsum([len(user) for user in users])]).astype(np.int64)
    histories = Sequences(rows, np.arange(len(rows)), np.arange(len(rows)), indptr)
    return spectral_vectors(histories, count_co_visitation(histories, row_count, 100), dim)


def test_items_of_one_crowd_start_together_and_the_rest_at_nothing() -> None:
    rng = np.random.default_rng(0)
    users = [rng.permutation(np.arange(1, 11) + 10 * (u % 2)).tolist() for u in range(40)]
    vectors = start(users, 23, 4)
    assert vectors.shape == (23, 4)
    assert not vectors[[0, 21, 22]].any()
    unit = vectors[1:21] / np.linalg.norm(vectors[1:21], axis=1, keepdims=True)
    similarity = unit @ unit.T
    assert similarity[:10, :10].mean() > similarity[:10, 10:].mean() + 0.5


def test_the_smallest_catalogues_start_at_nothing_rather_than_fail() -> None:
    for users, row_count in (([[1]], 2), ([[1, 1, 1]], 3), ([[1, 2]], 3), ([[1, 2, 1], [2, 1]], 4)):
        vectors = start(users, row_count, 8)
        assert vectors.shape == (row_count, 8)
        assert np.isfinite(vectors).all()
