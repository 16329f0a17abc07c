"""Directed co-visitation against a plain loop."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from training.retrieval.co_visitation import REACH, count_co_visitation
from training.retrieval.sequences import Sequences

ROWS = 8


def histories_of(users: list[list[int]]) -> Sequences:
    rows = np.array([row for user in users for row in user], np.int64)
    indptr = np.concatenate([[0], np.cumsum([len(user) for user in users])]).astype(np.int64)
    return Sequences(rows, np.arange(len(rows)), np.arange(len(rows)), indptr)


def by_loop(users: list[list[int]]) -> np.ndarray:
    counts = np.zeros((ROWS, ROWS))
    for user in users:
        for i, source in enumerate(user):
            for distance in range(1, REACH + 1):
                if i + distance < len(user) and user[i + distance] != source:
                    counts[source, user[i + distance]] += 1.0 / distance
    mass = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, mass, out=np.zeros_like(counts), where=mass > 0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(1, ROWS - 1), max_size=25), min_size=1, max_size=6))
def test_counts_are_those_of_a_plain_loop(users: list[list[int]]) -> None:
    found = count_co_visitation(histories_of(users), ROWS, followers=ROWS)
    dense = np.zeros((ROWS, ROWS))
    owner = np.repeat(np.arange(ROWS), np.diff(found.indptr))
    dense[owner, found.targets] = found.weights
    np.testing.assert_allclose(dense, by_loop(users), atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(1, ROWS - 1), max_size=25), min_size=1, max_size=6), st.integers(1, 3))
def test_only_the_strongest_followers_are_kept_and_their_weights_stay(users: list[list[int]], k: int) -> None:
    whole = by_loop(users)
    found = count_co_visitation(histories_of(users), ROWS, followers=k)
    for row in range(ROWS):
        part = slice(found.indptr[row], found.indptr[row + 1])
        best = np.sort(whole[row])[::-1][:k]
        np.testing.assert_allclose(np.sort(found.weights[part])[::-1], best[best > 0], atol=1e-6)
        np.testing.assert_allclose(whole[row, found.targets[part]], found.weights[part], atol=1e-6)


def test_what_serves_reads_the_counts_as_they_were_made() -> None:
    found = count_co_visitation(histories_of([[1, 2, 3], [1, 2]]), ROWS, followers=ROWS)
    rows, scores = found.scores(np.array([2, 1]), half_life=1.0)
    # The newest item, 1, weighs 2/3: it leads to 2 (1 + 1) and to 3 (1/2); 2, before it, leads to 3 alone.
    assert rows.tolist() == [2, 3]
    np.testing.assert_allclose(scores, [2 / 3 * 2 / 2.5, 2 / 3 * 0.5 / 2.5 + 1 / 3], atol=1e-6)
