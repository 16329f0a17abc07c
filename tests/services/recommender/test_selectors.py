"""Top-k and MMR: reproducible, and nothing that is no number comes up."""

import numpy as np
import pytest

from services.recommender.selectors import MMRSelector, TopKSelector, mmr

NONE = np.empty((0, 0), np.float32)


def test_top_k_breaks_ties_by_retrieval_order() -> None:
    scores = np.array([1.0, 3.0, 3.0, 2.0], np.float32)
    assert TopKSelector().select(scores, NONE, 3).tolist() == [1, 2, 3]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("selector", [TopKSelector(), MMRSelector(0.5), MMRSelector(1.0)])
def test_scores_that_are_no_number_come_last(bad: float, selector: TopKSelector | MMRSelector) -> None:
    scores = np.array([bad, 1.0, 2.0, bad], np.float32)
    chosen = selector.select(scores, np.eye(4, dtype=np.float32), 4)
    assert chosen.tolist()[:2] == [2, 1]
    assert sorted(chosen.tolist()) == [0, 1, 2, 3]


def test_k_above_the_number_of_candidates_gives_all_once() -> None:
    scores = np.arange(5, dtype=np.float32)
    for selector in (TopKSelector(), MMRSelector(0.3)):
        assert sorted(selector.select(scores, np.ones((5, 2), np.float32), 50).tolist()) == [0, 1, 2, 3, 4]


def test_no_candidates_give_no_slate() -> None:
    nothing = np.empty(0, np.float32)
    for selector in (TopKSelector(), MMRSelector(0.3)):
        assert len(selector.select(nothing, np.empty((0, 2), np.float32), 5)) == 0


def test_mmr_with_trade_off_one_is_relevance() -> None:
    relevance = np.array([0.2, 0.9, 0.5], np.float32)
    assert mmr(relevance, np.ones((3, 1), np.float32), 3, 1.0) == [1, 2, 0]


def test_mmr_passes_over_a_twin_of_what_is_chosen() -> None:
    relevance = np.array([1.0, 0.99, 0.5], np.float32)
    unit = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    assert mmr(relevance, unit, 2, 0.5) == [0, 2]


def test_mmr_ties_go_to_the_lower_index() -> None:
    assert mmr(np.ones(3, np.float32), np.eye(3, dtype=np.float32), 3, 0.5) == [0, 1, 2]


def test_mmr_never_chooses_twice_though_all_scores_are_bad() -> None:
    bad = np.full(3, np.nan, np.float32)
    assert sorted(mmr(bad, np.eye(3, dtype=np.float32), 5, 0.5)) == [0, 1, 2]


def test_mmr_equals_the_definition_on_random_data() -> None:
    rng = np.random.default_rng(0)
    relevance = rng.random(30).astype(np.float32)
    vectors = rng.normal(size=(30, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    similarity = vectors @ vectors.T
    chosen: list[int] = []
    for _ in range(10):
        rest = [i for i in range(30) if i not in chosen]
        nearest = {i: max((similarity[i, j] for j in chosen), default=0.0) for i in rest}
        chosen.append(max(rest, key=lambda i: 0.6 * relevance[i] - 0.4 * nearest[i]))
    assert mmr(relevance, vectors, 10, 0.6) == chosen
