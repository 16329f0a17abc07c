"""Popularity windows, fresh items and content neighbours."""

import numpy as np

from training.retrieval.popular import content_neighbours, fresh_rows, popularity
from training.retrieval.sequences import Sequences

DAY_US = 86_400_000_000


def one_user(rows: list[int], days: list[float]) -> Sequences:
    times = (np.array(days) * DAY_US).astype(np.int64)
    return Sequences(np.array(rows), times, np.arange(len(rows)), np.array([0, len(rows)]))


def test_windows_end_at_the_cut_and_the_last_is_all_time() -> None:
    found = popularity(one_user([1, 1, 1, 2, 2, 3], [1, 2, 3, 35, 36, 39.5]), 5, 40 * DAY_US, True, k=3)
    assert found.rows.tolist() == [[3, 0, 0], [2, 3, 0], [2, 3, 0], [1, 2, 3]]
    np.testing.assert_allclose(np.exp(found.scores[-1, 1:]), [4 / 11, 3 / 11, 2 / 11, 1 / 11], rtol=1e-5)
    assert found.scores.shape == (4, 5)
    assert np.isfinite(found.scores).all()


def test_without_times_the_newest_of_each_user_count_as_recent() -> None:
    rows = np.array([1, 1, 2, 1, 1, 3])
    histories = Sequences(rows, np.arange(6), np.arange(6), np.array([0, 3, 6]))
    assert popularity(histories, 5, 0, False, k=2).rows.tolist() == [[2, 3], [1, 2]]


def test_the_newest_come_first_and_the_ageless_not_at_all() -> None:
    assert fresh_rows(np.array([0, 5, 0, 9, 7]), 2).tolist() == [3, 4]


def test_neighbours_are_those_of_a_full_comparison() -> None:
    rng = np.random.default_rng(0)
    content = rng.standard_normal((40, 6)).astype(np.float32)
    content /= np.linalg.norm(content, axis=1, keepdims=True)
    content[[0, 7]] = 0.0
    nearest = content_neighbours(content, 4)
    assert (nearest[[0, 7]] == 0).all()
    for row in (1, 13, 39):
        others = [r for r in range(1, 40) if r not in (row, 7)]
        best = sorted(others, key=lambda r: -float(content[r] @ content[row]))[:4]
        wanted = [r if content[r] @ content[row] > 1e-6 else 0 for r in best]
        assert nearest[row].tolist() == wanted


def test_a_catalogue_smaller_than_the_neighbourhood_is_padded() -> None:
    nearest = content_neighbours(np.array([[0, 0], [1, 0], [1, 0]], np.float32), 5)
    assert nearest.tolist() == [[0] * 5, [2, 0, 0, 0, 0], [1, 0, 0, 0, 0]]
